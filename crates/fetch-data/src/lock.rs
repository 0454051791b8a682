//! One download into a folder of the cache at a time: two that write the same part file
//! would damage it.

use std::fs;
use std::path::Path;

use torchmill::lock::FileLock;
use torchmill::{Context, Result, progress};

/// Waits until no other process downloads `name`, and then holds the lock.
pub fn take(cache: &Path, name: &str) -> Result<FileLock> {
    fs::create_dir_all(cache).doing("make the folder", cache)?;
    FileLock::wait(&cache.join(format!("{name}.lock")), |_| {
        progress::note(format_args!(
            "another fetch-data is downloading {name}: waiting for it"
        ));
    })
}
