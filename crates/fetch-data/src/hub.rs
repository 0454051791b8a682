//! Data sets of the Hugging Face Hub: `hf:OWNER/DATASET`.
//!
//! The hub lists a repository's files with the SHA-256 sums of those in Git LFS. A
//! repository that holds Parquet files or tars is fetched as it is. For others the hub makes
//! Parquet files on the branch `refs/convert/parquet`. Sources:
//! <https://huggingface.co/docs/hub/api>,
//! <https://huggingface.co/docs/dataset-viewer/parquet>.

mod answer;
mod error;
mod name;
mod select;

use std::collections::HashSet;

use torchmill::{Error, Result};
use ureq::Agent;

use crate::config::Options;
use crate::download::page::{self, Page, PageError};
use crate::download::{Fault, Token, address, client};
use crate::listing::{ListedFile, Listing};
use answer::{Entry, Info};
pub use error::HubError;
pub use name::HubName;
use name::encoded;
use select::Selection;

/// The hub's URL, unless `HF_ENDPOINT` names another.
const ENDPOINT: &str = "https://huggingface.co";
/// The branch with the Parquet files that the hub makes.
const PARQUET_BRANCH: &str = "refs/convert/parquet";
/// The most files and folders that a repository may list: more than any has.
const MOST_ENTRIES: usize = 1_000_000;
/// The most pages of such a list. The hub's pages have 1,000 entries.
const MOST_PAGES: usize = 10_000;

/// Which hub is asked, and as whom.
#[derive(Debug, Clone)]
pub struct Access {
    /// The hub's URL.
    pub endpoint: String,
    /// The user's token.
    pub token: Option<Token>,
}

impl Default for Access {
    fn default() -> Self {
        Self { endpoint: ENDPOINT.to_owned(), token: None }
    }
}

impl Access {
    /// As the environment says: `HF_ENDPOINT` and `HF_TOKEN`, as for Hugging Face's own
    /// programs.
    pub fn from_environment() -> Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
            return Err(Error::usage(format_args!(
                "HF_ENDPOINT=`{endpoint}` is not a URL: write https://HOST"
            )));
        }
        let secret = variable("HF_TOKEN");
        let secret = secret.as_deref().map(str::trim);
        if secret.is_some_and(|secret| !secret.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(Error::usage(
                "HF_TOKEN is not a token: it holds spaces or other characters that \
                 tokens do not have",
            ));
        }
        let token = secret.map(|secret| Token::new(&endpoint, secret));
        Ok(Self { endpoint, token })
    }
}

/// Asks the hub which files a data set has.
pub fn list(name: &HubName, options: &Options) -> Result<Listing, HubError> {
    let access = &options.hub;
    let hub = Hub { access, options, agent: client::agent(&options.retries), name };
    let info = hub.info()?;
    if info.is_gated() && access.token.is_none() {
        return Err(hub.denied("users must accept its terms"));
    }
    let licence = info.licence();
    let found = hub.find(&info)?;
    let mut notes = found.selection.notes;
    if let Some(note) = found.selection.partial {
        notes.push(note);
    }
    let commit = HubName { revision: Some(found.commit.clone()), ..name.clone() };
    let files = found.selection.files.iter();
    let listing = Listing {
        title: name.to_string(),
        description: String::new(),
        licence,
        source: commit.to_string(),
        kind: found.selection.kind,
        files: files.map(|file| hub.listed(file, &found.commit)).collect(),
        notes,
        token: access.token.clone(),
        when_denied: hub.denied("users must accept its terms").to_string(),
        when_different: "try again later: the hub lists it as another file".to_owned(),
    };
    listing.check().map_err(|why| HubError::Files { page: hub.page(), why })?;
    Ok(listing)
}

/// The files of a data set at a commit.
struct Found {
    commit: String,
    selection: Selection,
}

/// A hub that is asked for one data set.
struct Hub<'a> {
    access: &'a Access,
    options: &'a Options,
    agent: Agent,
    name: &'a HubName,
}

impl Hub<'_> {
    /// What the hub says of the repository, and of the revision if one is named.
    fn info(&self) -> Result<Info, HubError> {
        let page = match self.get(&self.api("")) {
            Err(PageError::Source { fault: Fault::Missing, .. }) => {
                return Err(HubError::UnknownDataset(self.page()));
            }
            answer => self.answered(answer)?,
        };
        let mut info = self.parse_info(&page)?;
        if let Some(revision) = &self.name.revision {
            let commit = self.revision(revision)?;
            info.sha = commit.ok_or_else(|| HubError::UnknownRevision {
                page: self.page(),
                revision: revision.clone(),
            })?;
        }
        Ok(info)
    }

    /// The commit of a branch, a tag or a commit; `None` if there is none.
    fn revision(&self, revision: &str) -> Result<Option<String>, HubError> {
        match self.get(&self.api(&format!("/revision/{}", encoded(revision, "")))) {
            Err(PageError::Source { fault: Fault::Missing, .. }) => Ok(None),
            answer => Ok(Some(self.parse_info(&self.answered(answer)?)?.sha)),
        }
    }

    /// The files in the repository itself, or else in the hub's Parquet branch.
    fn find(&self, info: &Info) -> Result<Found, HubError> {
        let own = self.select(&info.sha)?;
        if let Some(selection) = own {
            return Ok(Found { commit: info.sha.clone(), selection });
        }
        // A revision that the user names is the one to take.
        if self.name.revision.is_none()
            && let Some(commit) = self.revision(PARQUET_BRANCH)?
            && let Some(selection) = self.select(&commit)?
        {
            return Ok(Found { commit, selection });
        }
        let revision = self.name.revision.clone();
        Err(HubError::NoFiles {
            page: self.page(),
            folder: self.name.folder.clone(),
            revision: revision.filter(|revision| revision != PARQUET_BRANCH),
        })
    }

    fn select(&self, commit: &str) -> Result<Option<Selection>, HubError> {
        select::select(self.files(commit)?, self.name)
    }

    /// All files at a commit.
    fn files(&self, commit: &str) -> Result<Vec<Entry>, HubError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut asked = HashSet::new();
        let mut next = Some(self.api(&format!("/tree/{commit}?recursive=true")));
        while let Some(url) = next {
            let page = self.answered(self.get(&url))?;
            asked.insert(url);
            let listed: Vec<Entry> = self.parse(&page.body)?;
            if listed.is_empty() && page.next.is_some() {
                let what = "an empty page is followed by another one";
                return Err(self.bad_answer(what.to_owned()));
            }
            entries.extend(listed);
            if entries.len() > MOST_ENTRIES || asked.len() > MOST_PAGES {
                let what =
                    format!("more than {MOST_ENTRIES} files or {MOST_PAGES} pages");
                return Err(self.bad_answer(what));
            }
            if let Some(next) = &page.next {
                self.check_next(next, &asked)?;
            }
            next = page.next;
        }
        entries.retain(Entry::is_file);
        Ok(entries)
    }

    /// Refuses a next page at another server, and one that was already read.
    fn check_next(&self, next: &str, asked: &HashSet<String>) -> Result<(), HubError> {
        let shown = address::without_query(next);
        if !next.starts_with(&format!("{}/", self.access.endpoint)) {
            return Err(self.bad_answer(format!("its next page is {shown}")));
        }
        if asked.contains(next) {
            return Err(self.bad_answer(format!("its pages repeat, at {shown}")));
        }
        Ok(())
    }

    fn listed(&self, file: &select::SelectedFile, commit: &str) -> ListedFile {
        ListedFile {
            place: self.name.to_string(),
            path: file.path.clone(),
            url: format!(
                "{}/resolve/{commit}/{}",
                self.page(),
                encoded(&file.entry.path, "/")
            ),
            size: Some(file.entry.size),
            checksum: file.entry.checksum(),
            split: file.split.to_owned(),
        }
    }

    /// The repository's page, for people.
    fn page(&self) -> String {
        format!("{}/datasets/{}", self.access.endpoint, self.name.repository)
    }

    fn api(&self, rest: &str) -> String {
        format!("{}/api/datasets/{}{rest}", self.access.endpoint, self.name.repository)
    }

    fn get(&self, url: &str) -> Result<Page, PageError> {
        page::get(&self.agent, url, self.access.token.as_ref(), &self.options.retries)
    }

    /// The answer, or why there is none.
    fn answered(&self, answer: Result<Page, PageError>) -> Result<Page, HubError> {
        answer.map_err(|error| match error {
            // The hub also denies repositories that do not exist.
            PageError::Source { fault: Fault::Denied, .. } => {
                self.denied("it does not exist, or it is private")
            }
            PageError::Source { message, .. } => HubError::NoAnswer(message),
            PageError::Local(error) => HubError::Local(error),
        })
    }

    fn parse_info(&self, page: &Page) -> Result<Info, HubError> {
        let info: Info = self.parse(&page.body)?;
        // It becomes a part of URLs.
        if info.sha.is_empty() || !info.sha.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(self.bad_answer(format!("the commit `{}`", info.sha)));
        }
        Ok(info)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, body: &[u8]) -> Result<T, HubError> {
        serde_json::from_slice(body).map_err(|e| self.bad_answer(e.to_string()))
    }

    fn bad_answer(&self, what: String) -> HubError {
        HubError::BadAnswer { page: self.page(), what }
    }

    fn denied(&self, why: &'static str) -> HubError {
        let has_token = self.access.token.is_some();
        HubError::Denied { page: self.page(), why, has_token }
    }
}
