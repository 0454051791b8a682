//! Why the hub cannot say which files a data set has.

use torchmill::Error;

use crate::listing::ListingError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no such repository.
    #[error("there is no data set {0}: check its name on the hub's pages")]
    UnknownDataset(String),
    /// There is no such branch, tag or commit.
    #[error("{page} has no revision `{revision}`: give a branch, a tag or a commit")]
    UnknownRevision {
        /// The data set's page.
        page: String,
        /// What was asked for.
        revision: String,
    },
    /// It is private, gated or not there.
    #[error("{page} is not public ({why}): {}", advice(*.has_token))]
    Denied {
        /// The data set's page.
        page: String,
        /// What the hub's answer may mean.
        why: &'static str,
        /// Whether `HF_TOKEN` is set.
        has_token: bool,
    },
    /// It has no files that prep reads.
    #[error(
        "{page} has no Parquet files and no tars{}{}download it with another program and \
         give its folder with --from",
        below(.folder), conversion(.revision.as_deref())
    )]
    NoFiles {
        /// The data set's page.
        page: String,
        /// The folder that was named, or `""`.
        folder: String,
        /// The revision that was named, unless it is the hub's Parquet branch.
        revision: Option<String>,
    },
    /// Its files do not make a data set.
    #[error(
        "{page}: {why}; download the data set with another program and give its folder \
         with --from, or list the files that you need in a FILE.toml"
    )]
    Files {
        /// The data set's page.
        page: String,
        /// What is wrong with them.
        why: ListingError,
    },
    /// It is several data sets.
    #[error("{name} holds several data sets: choose one, {}", choices(.name, .subsets))]
    Subsets {
        /// What was asked for.
        name: String,
        /// The folders of the data sets.
        subsets: Vec<String>,
    },
    /// The hub's answer cannot be used.
    #[error("{page}: the hub's answer is not a list of files: {what}; {CHECK_ENDPOINT}")]
    BadAnswer {
        /// The data set's page.
        page: String,
        /// What is wrong with it.
        what: String,
    },
    /// The hub does not answer.
    #[error("cannot ask the hub: {0}; {CHECK_ENDPOINT}")]
    NoAnswer(String),
    /// The problem is on this machine: Ctrl-C.
    #[error(transparent)]
    Local(Error),
}

/// The advice if the hub cannot be understood.
const CHECK_ENDPOINT: &str =
    "try again later, and check HF_ENDPOINT if it is set: it must be the URL of a hub";

fn advice(has_token: bool) -> &'static str {
    match has_token {
        true => {
            "the token in HF_TOKEN may not read it; accept its terms on that page as the \
             token's user, or set another token"
        }
        false => {
            "if you may read it, accept its terms on that page and set HF_TOKEN to a token \
             of yours"
        }
    }
}

fn below(folder: &str) -> String {
    match folder {
        "" => String::new(),
        folder => format!(" in its folder `{folder}`"),
    }
}

/// Whether the hub's own Parquet files were looked for, and what to do.
fn conversion(revision: Option<&str>) -> String {
    match revision {
        None => ", and the hub has not converted it to Parquet: ".to_owned(),
        Some(revision) => format!(
            " at the revision `{revision}`: leave out @{revision} to use the Parquet \
             files that the hub makes of most data sets, or "
        ),
    }
}

/// The first few names that can be given instead.
fn choices(name: &str, subsets: &[String]) -> String {
    let base = name.trim_end_matches('/');
    let mut names: Vec<String> =
        subsets.iter().take(8).map(|subset| format!("{base}/{subset}")).collect();
    if subsets.len() > names.len() {
        names.push(format!("and {} more", subsets.len() - names.len()));
    }
    names.join(", ")
}

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Local(error) => error,
            other => Self::failed(&other).caused_by(other),
        }
    }
}
