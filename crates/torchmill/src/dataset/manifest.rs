//! dataset.toml: what `fetch-data` writes next to a raw data set, so that `prep` need not
//! guess.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::raw_format::RawFormat;
use crate::{Context, Error, Result, atomic, text_file};

/// The manifest's file name.
pub const FILE: &str = "dataset.toml";

/// The contents of dataset.toml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The data set's name, such as `cifar10`.
    pub name: String,
    /// How it is stored.
    #[serde(rename = "kind")]
    pub format: RawFormat,
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// A description for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it came from: a URL or a path.
    pub source: String,
    /// Whether the archive's checksum was the published one.
    pub verified: bool,
    /// Licence or citation, as published.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// Each split's files (relative to the manifest's folder), in order; for
    /// [`RawFormat::Idx`] images then labels; for [`RawFormat::ImageFolder`] the folder
    /// that holds the class folders.
    pub splits: BTreeMap<String, Vec<String>>,
    /// Each file's checksum, `sha256:HEX`, relative to the manifest's folder. Empty for
    /// image folders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads `folder/dataset.toml`; `None` if the file is not there.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match text_file::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.doing("read", &path)?,
        };
        let manifest: Self =
            toml::from_str(&text).map_err(|e| Error::failed(e).within(path.display()))?;
        manifest.check().map_err(|e| e.within(path.display()))?;
        Ok(Some(manifest))
    }

    /// Rejects names that would lead outside a folder: a split's name becomes part of
    /// file names, and the classes of image folders are folders. File paths are checked
    /// when the files are opened.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(split) = self.splits.keys().find(|split| !is_file_name(split)) {
            return Err(Error::failed(format_args!(
                "the split {split:?} cannot be a part of a file's name"
            )));
        }
        if self.format == RawFormat::ImageFolder
            && let Some(class) = self.classes.iter().find(|class| !is_file_name(class))
        {
            return Err(Error::failed(format_args!(
                "the class {class:?} cannot be the name of a folder: \
                 rename the folder (no line breaks, tabs or other control characters)"
            )));
        }
        Ok(())
    }

    /// Writes `folder/dataset.toml`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string(self)
            .map_err(|e| Error::failed(format_args!("dataset.toml: {e}")))?;
        atomic::write(folder.join(FILE), text.as_bytes())
    }
}

/// Whether this is the plain name of a file or folder that is not hidden.
fn is_file_name(name: &str) -> bool {
    let is_forbidden = |c: char| c == '/' || c.is_control();
    !name.is_empty() && !name.starts_with('.') && !name.contains(is_forbidden)
}
