//! One fetch of a data set at a time: two that write the same part file would spoil it.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use torchmill::{Context, Result, interrupt, progress};

/// Held while a data set is fetched; the system lets go of it when the process ends,
/// however it does.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other process fetches `name`. Where the file system has no locks
    /// there is no waiting.
    pub fn take(cache: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(cache).doing("make the folder", cache)?;
        let path = cache.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .doing("write", &path)?;
        let mut told = false;
        while let Err(TryLockError::WouldBlock) = FileExt::try_lock(&file) {
            if !told {
                progress::note(format_args!(
                    "another fetch-data is at work on {name}: waiting for it"
                ));
                told = true;
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(Self { _file: file })
    }
}
