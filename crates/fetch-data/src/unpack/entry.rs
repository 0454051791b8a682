//! Checks the untrusted name of an archive entry: where it may be written, or why not.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The maximum depth of a path, more than any data set needs. It keeps a hostile name
/// from making a deep tree.
const DEEPEST: usize = 32;
/// The maximum length of a file name, in bytes.
const LONGEST_NAME: usize = 255;
/// The maximum length of a path, in bytes, which leaves room for the target folder.
const LONGEST_PATH: usize = 2048;

/// The relative path that an entry called `name` may be written to below the target
/// folder: one or more plain names, without `..`, and without a `/` or a drive at the
/// start. `Ok(None)` is the target folder itself (`./`).
///
/// Errors complete the sentence "the entry ... ".
pub fn safe_path(name: &[u8]) -> Result<Option<PathBuf>, &'static str> {
    if name.is_empty() {
        return Err("has no name");
    }
    if name.len() > LONGEST_PATH {
        return Err("has a name that is too long");
    }
    if String::from_utf8_lossy(name).chars().any(char::is_control) {
        return Err("has control characters in its name");
    }
    // On Windows a separator and a drive; no data set needs either in a name.
    if name.contains(&b'\\') || name.get(1) == Some(&b':') {
        return Err("has a name that some systems take for a path of another kind");
    }
    if name.starts_with(b"/") {
        return Err("is an absolute path: it would be written outside the folder");
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => {
                return Err("would be written outside the folder (`..` in its name)");
            }
            part if part.len() > LONGEST_NAME => {
                return Err("has a name that is too long");
            }
            part => path.push(OsStr::from_bytes(part)),
        }
        depth += 1;
        if depth > DEEPEST {
            return Err("lies too deep");
        }
    }
    Ok((depth > 0).then_some(path))
}

/// Whether macOS added the entry to the archive (`._name`, `.DS_Store`, `__MACOSX`). Such
/// entries are left out.
pub fn is_system_file(path: &std::path::Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().as_encoded_bytes();
        part.starts_with(b"._") || part == b".DS_Store" || part == b"__MACOSX"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn plain_names_pass() {
        let some = |name: &str| safe_path(name.as_bytes()).unwrap().unwrap();
        assert_eq!(some("a/b.bin"), Path::new("a/b.bin"));
        assert_eq!(some("./a//b/./c.bin"), Path::new("a/b/c.bin"));
        assert_eq!(some("folder/"), Path::new("folder"));
        assert_eq!(some("…/..hidden"), Path::new("…/..hidden"));
        assert_eq!(safe_path(b"./"), Ok(None));
    }

    #[test]
    fn the_others_do_not() {
        let deep = "a/".repeat(33);
        let long = "a".repeat(256);
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "C:/x",
            "C:x",
            "a\\b",
            "..\\x",
            "a\0b",
            "a\nb",
            &deep,
            &long,
        ] {
            assert!(safe_path(name.as_bytes()).is_err(), "{name:?}");
        }
        let latin1 = safe_path(b"a/caf\xe9").unwrap().unwrap();
        assert_eq!(latin1.as_os_str().as_bytes(), b"a/caf\xe9");
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_folder(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some(path)) = safe_path(&name) {
                prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert!(Path::new("target").join(&path).starts_with("target"));
            }
        }

        #[test]
        fn nor_do_names_made_of_traps(name in "(/|\\.|\\.\\.|a|\\\\|C:|\u{0}|//){0,12}") {
            if let Ok(Some(path)) = safe_path(name.as_bytes()) {
                prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert!(!path.as_os_str().is_empty());
            }
        }
    }
}
