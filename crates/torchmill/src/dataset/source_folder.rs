//! The folder that a data set is read from, and what messages call it.

use std::path::{Component, Path, PathBuf};

use crate::{Error, Result};

/// A data set's folder. If it is a temporary one (an unpacked archive), messages name the
/// archive, and no class can be named after the folder.
#[derive(Debug, Clone)]
pub struct SourceFolder {
    path: PathBuf,
    shown: PathBuf,
    name: String,
}

impl SourceFolder {
    /// The folder `path`, shown as the user wrote it and named after its last component.
    pub fn new(path: &Path) -> Self {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let name = whole
            .file_name()
            .map_or_else(|| "images".to_owned(), |n| n.to_string_lossy().into_owned());
        Self { path: path.to_path_buf(), shown: path.to_path_buf(), name }
    }

    /// A temporary folder with the data set `name`, which messages call `shown`.
    pub fn temporary(path: &Path, shown: &Path, name: &str) -> Self {
        Self {
            path: path.to_path_buf(),
            shown: shown.to_path_buf(),
            name: name.to_owned(),
        }
    }

    /// The subfolder `below`; `""` is this folder.
    pub fn below(&self, below: &str) -> Self {
        if below.is_empty() {
            return self.clone();
        }
        Self {
            path: self.path.join(below),
            shown: self.shown.join(below),
            name: self.name.clone(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The data set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What messages call it.
    pub fn shown(&self) -> std::path::Display<'_> {
        self.shown.display()
    }

    /// The path of `name` in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// What messages call `name` in the folder.
    pub fn shown_path(&self, name: impl AsRef<Path>) -> PathBuf {
        match name.as_ref().as_os_str().is_empty() {
            true => self.shown.clone(),
            false => self.shown.join(name),
        }
    }

    /// Rejects a name from dataset.toml that leads outside the folder.
    pub(super) fn check_inside(&self, name: &str) -> Result<()> {
        let is_plain =
            |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
        if !name.is_empty() && Path::new(name).components().all(is_plain) {
            return Ok(());
        }
        Err(Error::failed(format_args!(
            "{}: `{name}` in dataset.toml leads outside its folder",
            self.shown()
        )))
    }
}
