//! Text files that are read as a whole: recipes, descriptions, lists of names or images.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result, interrupt, suggest};

/// The largest text file that [`read`] accepts, in bytes: more than any real file has,
/// and far less than memory holds.
const LARGEST: u64 = 64 << 20;
/// The most bytes that [`read_list`] reads from a pipe or a device, which have no size.
const LARGEST_STREAM: u64 = 1 << 30;

/// Reads a text file, as [`std::fs::read_to_string`] does.
///
/// # Errors
/// Also if it is larger than 64 MiB, such as an endless device, or is not UTF-8 text.
pub fn read(path: &Path) -> io::Result<String> {
    text(read_up_to(File::open(path)?, LARGEST)?)
}

/// Reads a list of images, which may be a file of any size.
///
/// # Errors
/// Also if a pipe or a device gives more than 1 GiB.
pub fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let is_file = file.metadata()?.is_file();
    read_up_to(file, if is_file { u64::MAX } else { LARGEST_STREAM })
}

/// Reads TOML.
///
/// # Errors
/// A usage error that names the line and the key.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let message = suggest::in_message(e.message().trim_end());
        match e.span() {
            Some(span) => {
                let line = line_at(text, span.start);
                Error::usage(format_args!("line {line}: {message}"))
            }
            None => Error::usage(message),
        }
    })
}

/// The number of the line, from 1, that contains this byte of a text.
pub fn line_at(text: &str, byte: usize) -> usize {
    let before = &text.as_bytes()[..byte.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

fn read_up_to(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut file = file.take(most);
    let mut bytes = Vec::new();
    // In pieces, so that Ctrl-C is noticed.
    loop {
        let piece = file.by_ref().take(16 << 20).read_to_end(&mut bytes)?;
        if piece == 0 {
            break;
        }
        interrupt::check().map_err(io::Error::other)?;
    }
    if file.limit() == 0 && file.into_inner().read(&mut [0])? > 0 {
        let message = format!("it is larger than {} MiB, too large for text", most >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..valid];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let message = format!("line {line} is not UTF-8 text");
        io::Error::new(ErrorKind::InvalidData, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        let lines = "caf\u{e9}\n".repeat(10_000);
        std::fs::write(&path, &lines).unwrap();
        assert_eq!(read(&path).unwrap(), lines);
        assert_eq!(read_list(&path).unwrap(), lines.as_bytes());
        std::fs::write(&path, b"a\nb\xff\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert_eq!(error, "line 2 is not UTF-8 text");
        let missing = read(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than 64 MiB, too large for text");
    }

    #[test]
    fn a_file_may_be_as_large_as_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_up_to(File::open(&path).unwrap(), 5).unwrap(), b"12345");
        let error = read_up_to(File::open(&path).unwrap(), 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
}
