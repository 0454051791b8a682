//! One download into a folder of the cache at a time: two that write the same part file
//! would damage it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use torchmill::{Context, Result, interrupt, progress};

/// Held during a download; the system releases it when the process ends, however it does.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other process downloads `name`. On a file system without locks
    /// there is no waiting.
    pub fn take(cache: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(cache).doing("make the folder", cache)?;
        let path = cache.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options.open(&path).doing("write", &path)?;
        let mut is_told = false;
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            if !is_told {
                progress::note(format_args!(
                    "another fetch-data is downloading {name}: waiting for it"
                ));
                is_told = true;
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(100));
        }
        Ok(Self { _file: file })
    }
}
