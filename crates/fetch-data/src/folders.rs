//! Lists the folders in a folder, to find where an archive or another program put files.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// The maximum depth of published files in their archives.
const DEEPEST: usize = 2;
/// The maximum number of folders; a published archive has fewer.
const MOST: usize = 1000;

/// `root` itself and the folders at most two levels below it, relative to it, the highest
/// first and sorted by name. Hidden ones and macOS's `__MACOSX` are left out.
pub fn below(root: &Path) -> Vec<PathBuf> {
    let is_visible = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() == 0 || !(name.starts_with(b".") || name == b"__MACOSX")
    };
    let entries = WalkDir::new(root)
        .max_depth(DEEPEST)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_visible)
        .flatten();
    let mut folders: Vec<DirEntry> =
        entries.filter(|entry| entry.file_type().is_dir()).take(MOST).collect();
    folders.sort_by_key(DirEntry::depth);
    let relative = |entry: &DirEntry| {
        entry.path().strip_prefix(root).unwrap_or(entry.path()).to_path_buf()
    };
    folders.iter().map(relative).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_highest_come_first() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["b/c/d", "a", "__MACOSX/x", ".raw"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("file"), "").unwrap();
        let expected = ["", "a", "b", "b/c"].map(PathBuf::from);
        assert_eq!(below(root.path()), expected);
    }
}
