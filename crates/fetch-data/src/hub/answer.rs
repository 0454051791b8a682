//! What the hub answers.

use serde::Deserialize;
use serde_json::Value;

use crate::checksum::Checksum;

/// What `/api/datasets/OWNER/DATASET` says, and `/revision/REVISION` below it.
#[derive(Debug, Deserialize)]
pub struct Info {
    /// The commit.
    pub sha: String,
    /// `false`, or who lets people in: `"auto"` or `"manual"`.
    #[serde(default)]
    gated: Value,
    /// The beginning of README.md.
    #[serde(default, rename = "cardData")]
    card: Value,
}

impl Info {
    /// Whether users must accept terms first.
    pub fn is_gated(&self) -> bool {
        self.gated.is_string()
    }

    /// The licences, as the repository's README.md names them: `mit`.
    pub fn licence(&self) -> String {
        match self.card.get("license") {
            Some(Value::String(licence)) => licence.clone(),
            Some(Value::Array(licences)) => {
                let names: Vec<&str> =
                    licences.iter().filter_map(Value::as_str).collect();
                names.join(", ")
            }
            _ => String::new(),
        }
    }
}

/// A file or a folder, as `/tree/REVISION` lists it.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    #[serde(rename = "type")]
    kind: String,
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: u64,
    /// What Git LFS says of it, if the file is there.
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Debug, Clone, Deserialize)]
struct Lfs {
    /// The SHA-256 sum.
    oid: String,
}

impl Entry {
    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == "file"
    }

    /// The checksum that Git LFS knows it by.
    pub fn checksum(&self) -> Option<Checksum> {
        let oid = &self.lfs.as_ref()?.oid;
        format!("sha256:{}", oid.trim_start_matches("sha256:")).parse().ok()
    }
}

#[cfg(test)]
impl Entry {
    /// A file of one byte.
    pub fn file(path: &str) -> Self {
        Self { kind: "file".to_owned(), path: path.to_owned(), size: 1, lfs: None }
    }
}
