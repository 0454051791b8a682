//! Finds the files below a folder, following links to folders.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use torchmill::{Context, Result};

/// Every file in `root`, at any depth, whose name is wanted, in no particular order.
/// Links are followed, but each folder is read once, by its own path rather than a
/// link's: links may form circles, and `latest` may lead to a run that has already been
/// read. Files that disappear in the meantime are left out.
pub fn files(root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let (mut folders, mut links) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop().or_else(|| links.pop()) {
        let entries = match fs::canonicalize(&folder)
            .and_then(|place| Ok((place, fs::read_dir(&folder)?)))
        {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.doing("read the folder", &folder)?,
        };
        let (place, entries) = entries;
        if !seen.insert(place) {
            continue;
        }
        for entry in entries {
            let entry = match entry {
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                entry => entry.doing("read the folder", &folder)?,
            };
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_symlink() && path.is_dir() => links.push(path),
                _ if wanted(&entry.file_name().to_string_lossy()) => found.push(path),
                _ => {}
            }
        }
        // Always choose the same link to a folder, whatever the order in which the system
        // lists them.
        links.sort_by(|a, b| b.cmp(a));
    }
    Ok(found)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_and_each_folder_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["runs/a/deep", "runs/b", "elsewhere/c"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["runs/a/deep/m", "runs/b/m", "runs/b/other", "elsewhere/c/m"] {
            fs::write(at(name), "").unwrap();
        }
        symlink(at("runs"), at("runs/a/circle")).unwrap();
        symlink("b", at("runs/aa-latest")).unwrap();
        symlink(at("elsewhere/c"), at("runs/c")).unwrap();
        symlink(at("elsewhere/c"), at("runs/d")).unwrap();
        symlink("nowhere", at("runs/broken")).unwrap();
        let mut found = files(&at("runs"), |name| name == "m").unwrap();
        found.sort();
        assert_eq!(found, ["runs/a/deep/m", "runs/b/m", "runs/c/m"].map(at));
        assert_eq!(files(&at("gone"), |_| true).unwrap(), Vec::<PathBuf>::new());
    }
}
