//! The unfinished download, `FILE.part`, next to the finished one's path, and
//! `FILE.part.toml`, which says what it is a part of. Both stay when a download breaks
//! off, so that the next one can continue it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use torchmill::{Context, Error, Result, atomic, interrupt};

use crate::checksum::{Checksum, Hasher};

/// What a part file is a part of.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    /// The checksum of the whole, where one is known: then the rest may come from any
    /// source.
    #[serde(default)]
    checksum: Option<String>,
    /// Where it came from: a digest of the address, which may hold a password.
    #[serde(default)]
    url: String,
    /// What that server gave to tell its versions of the file apart: a strong ETag or a
    /// date.
    #[serde(default)]
    validator: Option<String>,
}

impl Origin {
    /// Reads the note at `path`. One that cannot be read says nothing: the download
    /// starts from the beginning.
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

/// A digest of an address: it tells one from another and keeps its password secret.
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
    /// Opens the part of `destination`, with what is there from an earlier try if it is a
    /// part of the same.
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

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What tells this source's version of the file from others, if the part came from
    /// `url`.
    pub fn validator(&self, url: &str) -> Option<&str> {
        let is_same = self.origin.url == url_digest(url);
        self.origin.validator.as_deref().filter(|_| is_same)
    }

    /// Whether `url` may be asked for the rest: with a checksum of the whole any source
    /// may continue; without one only the same source, if it can tell that its file has
    /// not changed.
    pub fn is_resumable(&self, url: &str) -> bool {
        self.length > 0 && (self.expected.is_some() || self.validator(url).is_some())
    }

    /// Discards what is there.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).doing("write", &self.path)?;
        self.file.seek(SeekFrom::Start(0)).doing("write", &self.path)?;
        self.hasher = Hasher::like(self.expected.as_ref());
        self.length = 0;
        Ok(())
    }

    /// Notes where the bytes that follow come from.
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

    /// The checksum of what is there: of the expected one's kind, or SHA-256.
    pub fn checksum(&self) -> Checksum {
        self.hasher.clone().finish()
    }

    /// Leaves what is there for the next try; an empty part is removed.
    pub fn close(self) {
        if self.length == 0 {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.origin_path);
        }
    }

    /// Gives the whole file its final name.
    pub fn finish(self) -> Result<Checksum> {
        self.file.sync_all().doing("write", &self.path)?;
        fs::rename(&self.path, &self.destination).doing("write", &self.destination)?;
        // A note without a part does no harm.
        let _ = fs::remove_file(&self.origin_path);
        Ok(self.hasher.finish())
    }
}
