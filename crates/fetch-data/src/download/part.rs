//! An unfinished download: `FILE.part`, next to the final path, and `FILE.part.toml`,
//! which records its origin. Both are kept when a download breaks off, so that the next
//! one can continue.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use torchmill::{Context, Error, Result, atomic, interrupt};

use crate::checksum::{Checksum, Hasher};

/// The origin of a part file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    /// The checksum of the whole file, if it is known. The rest may then come from any
    /// source.
    #[serde(default)]
    checksum: Option<String>,
    /// A digest of the URL that it came from, since the URL may contain a password.
    #[serde(default)]
    url: String,
    /// The server's version of the file: a strong ETag or a date.
    #[serde(default)]
    validator: Option<String>,
}

impl Origin {
    /// Reads the file at `path`. If it cannot be read, the download starts from the
    /// beginning.
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        toml::from_str(&text).ok()
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A digest of a URL, which identifies it without revealing its password.
fn url_digest(url: &str) -> String {
    let mut hasher = Hasher::like(None);
    hasher.update(url.as_bytes());
    hasher.finish().to_string()
}

/// An unfinished download.
pub struct Part {
    file: File,
    path: PathBuf,
    origin_path: PathBuf,
    destination: PathBuf,
    origin: Origin,
    expected: Option<Checksum>,
    hasher: Hasher,
    length: u64,
}

impl Part {
    /// Opens the part of `destination`. Bytes of an earlier try are kept if they are from
    /// the same file.
    pub fn open(destination: &Path, expected: Option<&Checksum>) -> Result<Self> {
        let path = with_suffix(destination, ".part");
        let origin_path = with_suffix(destination, ".part.toml");
        if let Some(folder) = destination.parent() {
            fs::create_dir_all(folder).doing("make the folder", folder)?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .doing("write", &path)?;
        let origin = Origin::read(&origin_path);
        let mut part = Self {
            file,
            path,
            origin_path,
            destination: destination.to_path_buf(),
            origin: Origin::default(),
            expected: expected.cloned(),
            hasher: Hasher::like(expected),
            length: 0,
        };
        match origin {
            Some(origin) if origin.checksum == expected.map(Checksum::to_string) => {
                part.origin = origin;
                part.read_existing()?;
            }
            _ => part.restart()?,
        }
        Ok(part)
    }

    fn read_existing(&mut self) -> Result<()> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            interrupt::check()?;
            match self.file.read(&mut buffer).doing("read", &self.path)? {
                0 => return Ok(()),
                n => {
                    self.hasher.update(&buffer[..n]);
                    self.length += n as u64;
                }
            }
        }
    }

    /// The number of bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The version (ETag or date) of the source's file, if the part came from `url`.
    pub fn validator(&self, url: &str) -> Option<&str> {
        self.origin.validator.as_deref().filter(|_| self.is_from(url))
    }

    /// Whether the part, or its last piece, came from `url`.
    pub fn is_from(&self, url: &str) -> bool {
        self.origin.url == url_digest(url)
    }

    /// Whether the rest may be requested from `url`. With a checksum of the whole file
    /// any source may continue; without one only the same source, if it can tell that its
    /// file has not changed.
    pub fn is_resumable(&self, url: &str) -> bool {
        self.length > 0 && (self.expected.is_some() || self.validator(url).is_some())
    }

    /// Discards the bytes so far.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).doing("write", &self.path)?;
        self.file.seek(SeekFrom::Start(0)).doing("write", &self.path)?;
        self.hasher = Hasher::like(self.expected.as_ref());
        self.length = 0;
        Ok(())
    }

    /// Records the source of the bytes that follow.
    pub fn from(&mut self, url: &str, validator: Option<String>) -> Result<()> {
        let checksum = self.expected.as_ref().map(Checksum::to_string);
        let origin = Origin { checksum, url: url_digest(url), validator };
        if origin != self.origin {
            let text = toml::to_string(&origin)
                .map_err(|e| Error::failed(e).within(self.origin_path.display()))?;
            atomic::write(&self.origin_path, text.as_bytes())?;
            self.origin = origin;
        }
        Ok(())
    }

    /// Adds the next bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).doing("write", &self.path)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The checksum of the bytes so far, with the algorithm of the expected one, or
    /// SHA-256.
    pub fn checksum(&self) -> Checksum {
        self.hasher.clone().finish()
    }

    /// Leaves the part for the next try, or removes it if it is empty.
    pub fn close(self) {
        if self.length == 0 {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.origin_path);
        }
    }

    /// Renames the complete file to its final name.
    pub fn finish(self) -> Result<Checksum> {
        self.file.sync_all().doing("write", &self.path)?;
        fs::rename(&self.path, &self.destination).doing("write", &self.destination)?;
        // An origin file without a part does no harm.
        let _ = fs::remove_file(&self.origin_path);
        Ok(self.hasher.finish())
    }
}
