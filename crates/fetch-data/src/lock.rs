//! Locks between several fetch-data processes.

use std::fs;
use std::path::Path;

use torchmill::lock::{Access, FileLock, FolderLock};
use torchmill::{Context, Result, progress};

/// Waits until no other process downloads `name` into the cache, and keeps others out
/// while the lock is held. Two processes that write the same part file would damage it.
pub fn download(cache: &Path, name: &str) -> Result<FileLock> {
    fs::create_dir_all(cache).doing("make the folder", cache)?;
    FileLock::wait(&cache.join(format!("{name}.lock")), || {
        progress::note(format_args!(
            "waiting for another fetch-data that downloads {name}"
        ));
    })
}

/// Waits until no other process replaces a data set in `root`, and keeps others out while
/// the lock is held. `None` if `root` does not exist yet.
///
/// Where the file system cannot exchange two folders, replacing one takes two steps.
/// Without the lock, another process could take the state in between for the leftovers of
/// a killed process.
pub fn replacement(root: &Path) -> Result<Option<FolderLock>> {
    if !root.is_dir() {
        return Ok(None);
    }
    let lock = FolderLock::wait(root, Access::Exclusive, || {
        progress::note(format_args!(
            "waiting for another fetch-data that replaces a data set in {}",
            root.display()
        ));
    })?;
    Ok(Some(lock))
}
