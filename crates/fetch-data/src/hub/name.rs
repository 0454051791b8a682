//! How a data set of the hub is named on the command line.

use std::fmt;
use std::str::FromStr;

use torchmill::Error;

/// `OWNER/DATASET@REVISION/FOLDER`, of which the revision and the folder may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubName {
    /// `OWNER/DATASET`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: Option<String>,
    /// The folder that holds the data set's files; `""` is the whole repository.
    pub folder: String,
}

impl FromStr for HubName {
    type Err = Error;

    /// Reads what follows `hf:`.
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            Error::usage(format_args!(
                "`hf:{text}` is not the name of a data set on the Hugging Face Hub: \
                 write hf:OWNER/DATASET, hf:OWNER/DATASET@REVISION or \
                 hf:OWNER/DATASET/FOLDER"
            ))
        })
    }
}

fn parse(text: &str) -> Option<HubName> {
    let mut parts = text.trim_end_matches('/').split('/');
    let owner = parts.next()?;
    let (dataset, revision) = match parts.next()?.split_once('@') {
        // A reference that is not a branch or a tag: `refs/pr/1`, `refs/convert/parquet`.
        Some((dataset, "refs")) => {
            (dataset, Some(format!("refs/{}/{}", parts.next()?, parts.next()?)))
        }
        Some((dataset, revision)) => (dataset, Some(revision.to_owned())),
        None => (text.split('/').nth(1)?, None),
    };
    let folder: Vec<&str> = parts.collect();
    valid(owner, dataset, revision, &folder)
}

fn valid(
    owner: &str,
    dataset: &str,
    revision: Option<String>,
    folder: &[&str],
) -> Option<HubName> {
    let is_name = |name: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
    };
    let is_folder = |name: &&str| {
        !name.is_empty() && !name.starts_with('.') && !name.contains(char::is_control)
    };
    let is_revision = |name: &String| {
        !name.split('/').any(|part| part.is_empty() || part.starts_with('.'))
            && !name.contains(|c: char| c.is_control() || c.is_whitespace())
    };
    let is_valid = is_name(owner)
        && is_name(dataset)
        && folder.iter().all(is_folder)
        && revision.iter().all(is_revision);
    is_valid.then(|| HubName {
        repository: format!("{owner}/{dataset}"),
        revision,
        folder: folder.join("/"),
    })
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.repository)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if !self.folder.is_empty() {
            write!(f, "/{}", self.folder)?;
        }
        Ok(())
    }
}

/// Percent-encodes a part of a URL, except for letters, digits, `-_.~` and what is in `kept`.
pub fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, repository, revision, folder) in [
            ("ethz/food101", "ethz/food101", None, ""),
            ("a/b@v1.0", "a/b", Some("v1.0"), ""),
            ("a/b/full/x", "a/b", None, "full/x"),
            ("a/b@refs/convert/parquet/c", "a/b", Some("refs/convert/parquet"), "c"),
            ("a/b@main/c", "a/b", Some("main"), "c"),
        ] {
            let name: HubName = text.parse().unwrap();
            assert_eq!(name.repository, repository);
            assert_eq!(name.revision.as_deref(), revision);
            assert_eq!(name.folder, folder);
            assert_eq!(name.to_string(), format!("hf:{text}"));
        }
        for wrong in [
            "",
            "food101",
            "/b",
            "a/",
            "a/b@",
            "../b",
            "a/..",
            "a/b/../c",
            "a/b@../c",
            "a/b c",
            "a/b@refs/x",
            "//datasets/a/b",
            "a/b@x y",
        ] {
            assert_eq!(wrong.parse::<HubName>().unwrap_err().exit_status(), 2, "{wrong}");
        }
    }

    #[test]
    fn urls_are_encoded() {
        assert_eq!(encoded("a b/ü#?.x", "/"), "a%20b/%C3%BC%23%3F.x");
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
    }
}
