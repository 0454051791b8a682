//! The class folders in a folder.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::class_names::composed;
use super::super::packed_names::readable;
use super::super::source_folder::SourceFolder;
use super::super::{survey, walk};
use crate::{Context, Error, Result};

/// A class folder.
pub(super) struct ClassDir {
    /// The class's name: the folder's, in Unicode's composed form.
    pub class: String,
    /// The folder's name on the disk.
    pub dir: OsString,
}

/// The folders in `root` that are not hidden, in ImageFolder's order (by name, as bytes
/// of UTF-8, which is the order of code points).
pub(super) fn of(root: &SourceFolder) -> Result<Vec<ClassDir>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(root.path()).doing("read the folder", root.shown_path(""))?
    {
        let entry = entry.doing("read the folder", root.shown_path(""))?;
        let dir = entry.file_name();
        if !walk::is_hidden(&dir) && survey::is_dir(&entry) {
            found.push(ClassDir { class: class_of(&dir), dir });
        }
    }
    found.sort_unstable_by(|a, b| a.dir.as_bytes().cmp(b.dir.as_bytes()));
    refuse_equal_names(root, &found)?;
    Ok(found)
}

/// The class name of a folder with this name.
pub(super) fn class_of(dir: &OsString) -> String {
    composed(&readable(Path::new(dir)))
}

fn refuse_equal_names(root: &SourceFolder, dirs: &[ClassDir]) -> Result<()> {
    let mut by_class: Vec<&ClassDir> = dirs.iter().collect();
    by_class.sort_by_key(|dir| &dir.class);
    for pair in by_class.windows(2) {
        if pair[0].class == pair[1].class {
            return Err(Error::failed(format_args!(
                "{} holds two folders called `{}` that differ only in how Unicode spells \
                 them ({} and {}): rename one",
                root.shown(),
                pair[0].class,
                pair[0].dir.to_string_lossy().escape_unicode(),
                pair[1].dir.to_string_lossy().escape_unicode()
            )));
        }
    }
    Ok(())
}
