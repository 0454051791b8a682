//! Lists and copies folders, and damages files.

use std::fs;
use std::path::Path;

/// The names in a folder, sorted. Empty if the folder does not exist.
pub fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.as_ref()).into_iter().flatten() {
        names.push(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names
}

/// Copies the files of a folder, without those of its subfolders.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// Inverts the bits of one byte of a file, counted from its end.
pub fn flip_byte(path: &Path, from_end: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

/// Whether a path exists, even as a dangling link.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
