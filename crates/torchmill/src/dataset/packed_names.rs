//! A long list of short file names without an allocation for each: a million of them use
//! about 20 MB.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Paths packed one after the other, as bytes: a file's name need not be UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedNames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl PackedNames {
    /// Appends a path.
    pub fn push(&mut self, path: &Path) {
        self.bytes.extend_from_slice(path.as_os_str().as_bytes());
        self.ends.push(self.bytes.len());
    }

    /// The number of paths.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The path at `i`, which must be less than the length.
    pub fn get(&self, i: usize) -> &Path {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Path::new(OsStr::from_bytes(&self.bytes[start..self.ends[i]]))
    }
}

/// A path as text, with bytes that are not UTF-8 as `\xff`.
pub fn readable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went_in() {
        let mut names = PackedNames::default();
        for name in ["a.jpg", "", "日本.png"] {
            names.push(Path::new(name));
        }
        names.push(Path::new(OsStr::from_bytes(b"caf\xe9.png")));
        assert_eq!(names.len(), 4);
        assert_eq!(names.get(0), Path::new("a.jpg"));
        assert_eq!(names.get(1), Path::new(""));
        assert_eq!(readable(names.get(2)), "日本.png");
        assert_eq!(readable(names.get(3)), "caf\\xe9.png");
    }
}
