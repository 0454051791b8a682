//! The image files below a folder, in the order in which torchvision's ImageFolder reads
//! them: by folder, then by name. Hidden files and folders, and those that macOS and NAS
//! systems add, are left out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::manifest;
use super::options::{Extensions, NOT_IN_TORCHVISION, extension};
use super::packed_names::readable;
use super::source_folder::SourceFolder;
use crate::{Error, Result, interrupt};

/// Whether a file or folder is not part of a data set, judged by its name: hidden, or
/// added by the system.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") || name == b"__MACOSX" || name == b"@eaDir"
}

/// Whether `folder` or one below it holds an image. Stops at the first.
pub(super) fn holds_images(folder: &Path, extensions: &Extensions) -> bool {
    walk(folder).any(|entry| {
        entry.is_ok_and(|e| e.file_type().is_file() && extensions.include(e.path()))
    })
}

fn walk(folder: &Path) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> {
    WalkDir::new(folder)
        .min_depth(1)
        .follow_links(true)
        .into_iter()
        .filter_entry(|e| !is_hidden(e.file_name()))
}

/// Lists image files, and records what else it finds.
#[derive(Debug, Default)]
pub(super) struct ImageWalk {
    extensions: Extensions,
    /// The number of files that are not images by their names.
    skipped: u64,
    first_skipped: Option<String>,
    /// Images that torchvision's ImageFolder would not list, and those that it would.
    ours_only: u64,
    first_ours_only: Option<String>,
    listed: u64,
}

impl ImageWalk {
    /// Lists files with these extensions.
    pub fn new(extensions: &Extensions) -> Self {
        Self { extensions: extensions.clone(), ..Self::default() }
    }

    /// The images below `root/under`, relative to `root`.
    pub fn images(&mut self, root: &SourceFolder, under: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walk(&root.join(under)) {
            if files.len().is_multiple_of(4096) {
                interrupt::check()?;
            }
            let path = match entry {
                Ok(entry) if !entry.file_type().is_file() => continue,
                Ok(entry) => entry.into_path(),
                // An image whose file is missing is an error only when it is read.
                Err(error) => match dangling_link(&error) {
                    Some(path) if path.file_name().is_some_and(is_hidden) => continue,
                    Some(path) => path.to_path_buf(),
                    None => return Err(unreadable(error)),
                },
            };
            let relative = path.strip_prefix(root.path()).unwrap_or(&path);
            if self.is_image(root, relative) {
                files.push(relative.to_path_buf());
            }
        }
        files.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        Ok(files)
    }

    fn is_image(&mut self, root: &SourceFolder, path: &Path) -> bool {
        let shown = || readable(&root.shown_path(path));
        if self.extensions.include(path) {
            let is_ours = |ending: String| NOT_IN_TORCHVISION.contains(&ending.as_str());
            if extension(path).is_some_and(is_ours) {
                self.ours_only += 1;
                self.first_ours_only.get_or_insert_with(shown);
            }
            self.listed += 1;
            return true;
        }
        if path != Path::new(manifest::FILE) {
            self.skipped += 1;
            self.first_skipped.get_or_insert_with(shown);
        }
        false
    }

    /// Notes for the user on the files that were found.
    pub fn notes(self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(first) = self.first_skipped {
            notes.push(match self.skipped {
                1 => format!("left out {first}: it is not an image by its name"),
                n => format!(
                    "left out {n} files that are not images by their names: {first} first"
                ),
            });
        }
        if let Some(first) = self.first_ours_only
            && self.ours_only < self.listed
        {
            notes.push(format!(
                "{} of {} images have endings that torchvision's ImageFolder leaves out \
                 ({}): {first} first; --extensions chooses",
                self.ours_only,
                self.listed,
                NOT_IN_TORCHVISION.map(|ending| format!(".{ending}")).join(" ")
            ));
        }
        notes
    }
}

/// A path as (folder, name): what torchvision sorts by.
fn sort_key(path: &Path) -> (&[u8], &[u8]) {
    let bytes = path.as_os_str().as_bytes();
    match bytes.iter().rposition(|&b| b == b'/') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (b"", bytes),
    }
}

/// The dangling link that caused an error, if any.
fn dangling_link(error: &walkdir::Error) -> Option<&Path> {
    let path = error.path()?;
    let is_missing =
        error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    (is_missing && is_link).then_some(path)
}

fn unreadable(error: walkdir::Error) -> Error {
    let message = error.to_string();
    let Some(path) = error.path().map(Path::to_path_buf) else {
        return Error::failed(message);
    };
    if let Some(ancestor) = error.loop_ancestor() {
        return Error::failed(format_args!(
            "{} is a link to {}, a folder above it: the folders would never end",
            path.display(),
            ancestor.display()
        ));
    }
    match error.into_io_error() {
        Some(e) => Error::io(format_args!("cannot read {}", path.display()), e),
        None => Error::failed(message),
    }
}
