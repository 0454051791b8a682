//! Git LFS pointers: what a clone holds in place of large files where Git LFS is not
//! installed, or the files have not been fetched.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// What a pointer begins with (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
pub(crate) const START: &[u8] = b"version https://git-lfs.github.com/spec/";
/// What messages say about a pointer.
const SAID: &str = "is a Git LFS pointer; `git lfs pull` fetches the file";
/// A pointer is shorter than this.
const LONGEST: usize = 1024;

/// Whether these are the first bytes, or all bytes, of a Git LFS pointer.
pub fn is_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(START)
}

/// Fails if the bytes of a file are a Git LFS pointer. The error does not name the file;
/// readers add the name as they do to their other errors.
pub fn check(bytes: &[u8]) -> Result<()> {
    if is_pointer(bytes) {
        return Err(Error::failed(format_args!("it {SAID}")));
    }
    Ok(())
}

/// Fails if the file is a Git LFS pointer, with an error that names it. Files that cannot
/// be read are left to their reader.
pub fn check_file(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    // Reading from a pipe here would lose data.
    let is_file = path.metadata().is_ok_and(|about| about.is_file());
    if is_file && let Ok(file) = File::open(path) {
        let _ = file.take(LONGEST as u64).read_to_end(&mut start);
    }
    if is_pointer(&start) {
        return Err(Error::failed(format_args!("{} {SAID}", path.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_by_their_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pth");
        let text =
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
        std::fs::write(&path, text).unwrap();
        let error = check_file(&path).unwrap_err().to_string();
        let expected = "model.pth is a Git LFS pointer; `git lfs pull` fetches the file";
        assert!(error.ends_with(expected), "{error}");
        std::fs::write(&path, "version 1").unwrap();
        check_file(&path).unwrap();
        check_file(&folder.path().join("missing")).unwrap();
    }
}
