//! Writes unpacked files into a folder that holds only files of this archive.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use torchmill::{Context, Error, Result, interrupt};

use super::entry;

/// Writes entries below a folder, each name once.
pub struct Sink<'a> {
    target: &'a Path,
    seen: HashSet<PathBuf>,
}

/// From this size on, a file is flushed to disk individually: a power failure must not
/// leave a large file of zeros under its final name. Flushing every small file would take
/// minutes.
const FLUSHED_FROM: u64 = 1 << 20;

impl<'a> Sink<'a> {
    /// Writes below `target`, which must be empty and free of links.
    pub fn new(target: &'a Path) -> Self {
        Self { target, seen: HashSet::new() }
    }

    /// Makes a folder.
    pub fn folder(&mut self, name: &[u8]) -> Result<()> {
        if let Some(path) = checked(name)?
            && !entry::is_system_file(&path)
        {
            fs::create_dir_all(self.target.join(&path)).map_err(|e| clash(name, e))?;
        }
        Ok(())
    }

    /// Writes a file with all of `contents`, and returns its size.
    pub fn file(&mut self, name: &[u8], contents: &mut dyn Read) -> Result<u64> {
        let Some(path) = checked(name)? else {
            return Err(refused(name, "is a file without a name"));
        };
        if entry::is_system_file(&path) {
            return copy(contents, &mut io::sink(), &path);
        }
        if !self.seen.insert(path.clone()) {
            return Err(refused(name, "is in the archive twice"));
        }
        let to = self.target.join(&path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|e| clash(name, e))?;
        }
        // Never write through an existing file, such as one whose name differs only in
        // case.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&to)
            .map_err(|e| clash(name, e))?;
        let size = copy(contents, &mut file, &path)?;
        if size >= FLUSHED_FROM {
            file.sync_all().doing("write", &to)?;
        }
        Ok(size)
    }
}

fn checked(name: &[u8]) -> Result<Option<PathBuf>> {
    entry::safe_path(name).map_err(|why| refused(name, why))
}

/// The error for an entry that is refused, and the whole archive with it.
pub fn refused(name: &[u8], why: &str) -> Error {
    let name: String = String::from_utf8_lossy(name).chars().take(200).collect();
    Error::failed(format_args!(
        "the entry `{}` {why}; nothing was unpacked",
        name.escape_debug()
    ))
}

fn clash(name: &[u8], error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => refused(
            name,
            "has the name of another entry (or one that differs only in case)",
        ),
        _ => Error::io(
            format_args!("cannot write {}", String::from_utf8_lossy(name).escape_debug()),
            error,
        ),
    }
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, path: &Path) -> Result<u64> {
    let mut buffer = vec![0; 1 << 17];
    let mut size = 0;
    loop {
        interrupt::check()?;
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(super::damage(&e)),
        };
        to.write_all(&buffer[..n]).doing("write", path)?;
        size += n as u64;
    }
}
