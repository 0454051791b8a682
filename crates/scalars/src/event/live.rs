//! An event file that grows while others read it: only whole records are appended.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use torchmill::{Context, Result};

use super::encode::{Encoder, Scalar};
use super::file::Finished;
use super::folder_lock::FolderLock;

/// A file that [`super::file::EventFile`] has brought up to date, open for appending.
pub struct LiveFile {
    path: PathBuf,
    file: File,
    length: u64,
    encoder: Encoder,
    pending: Vec<u8>,
}

impl LiveFile {
    /// Continues at the end of the file.
    pub fn open(finished: Finished) -> Result<Self> {
        let Finished { path, encoder, lock: _lock, .. } = finished;
        let file = OpenOptions::new().append(true).open(&path).doing("open", &path)?;
        let length = file.metadata().doing("read", &path)?.len();
        Ok(Self { path, file, length, encoder, pending: Vec::new() })
    }

    /// Adds a point, which the next [`LiveFile::flush`] writes.
    pub fn push(&mut self, scalar: Scalar) {
        self.encoder.scalar(&mut self.pending, scalar);
    }

    /// Appends the pushed points. Returns `false`, and writes nothing, if another process
    /// has changed or removed the file, so that its contents have to be compared again.
    pub fn flush(&mut self) -> Result<bool> {
        if self.pending.is_empty() {
            return Ok(true);
        }
        let Some(folder) = self.path.parent() else { return Ok(false) };
        // The folder may have been removed.
        if !folder.is_dir() {
            return Ok(false);
        }
        let _lock = FolderLock::take(folder)?;
        if fs::metadata(&self.path).map_or(0, |there| there.len()) != self.length {
            return Ok(false);
        }
        if let Err(e) = self.file.write_all(&self.pending) {
            // Remove an incomplete record: readers would not see anything after it.
            let _ = self.file.set_len(self.length);
            return Err(e).doing("write", &self.path);
        }
        self.length += self.pending.len() as u64;
        self.pending.clear();
        Ok(true)
    }
}
