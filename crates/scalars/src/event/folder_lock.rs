//! One `scalars` at a time writes the event files of a folder.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use torchmill::{Context, Result, interrupt, progress};

/// The lock of a folder. It is on the folder itself, so no file is left behind. Where the
/// file system has no locks, it protects nothing.
#[derive(Debug, Clone)]
pub struct FolderLock {
    _folder: Arc<File>,
}

/// Device and inode of a folder.
type Identity = (u64, u64);

/// The folders that this process has locked: it may lock one again.
static HELD: Mutex<Vec<(Identity, Weak<File>)>> = Mutex::new(Vec::new());

impl FolderLock {
    /// Waits until no other process has the lock.
    pub fn take(folder: &Path) -> Result<Self> {
        let file = File::open(folder).doing("open", folder)?;
        let about = file.metadata().doing("read", folder)?;
        let identity = (about.dev(), about.ino());
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(_, file)| file.strong_count() > 0);
        for (known, file) in held.iter() {
            if *known == identity
                && let Some(file) = file.upgrade()
            {
                return Ok(Self { _folder: file });
            }
        }
        let mut is_told = false;
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            if !is_told {
                progress::note(format_args!(
                    "another scalars is writing in {}: waiting for it",
                    folder.display()
                ));
                is_told = true;
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(20));
        }
        let file = Arc::new(file);
        held.push((identity, Arc::downgrade(&file)));
        Ok(Self { _folder: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_lock_a_folder_twice_and_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let second = FolderLock::take(&folder.path().join(".")).unwrap();
        let other = File::open(folder.path()).unwrap();
        drop(first);
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(second);
        other.try_lock().unwrap();
    }
}
