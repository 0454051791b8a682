//! A lock, so that only one `scalars` at a time writes the event files of a folder.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use torchmill::lock::{self, Access};
use torchmill::{Context, Result, progress};

/// The lock of a folder, which one process may take more than once.
#[derive(Debug, Clone)]
pub struct FolderLock {
    _lock: Arc<lock::FolderLock>,
}

/// Device and inode of a folder.
type Identity = (u64, u64);

/// The folders that this process has locked.
static HELD: Mutex<Vec<(Identity, Weak<lock::FolderLock>)>> = Mutex::new(Vec::new());

impl FolderLock {
    /// Waits until no other process has the lock.
    pub fn take(folder: &Path) -> Result<Self> {
        let about = fs::metadata(folder).doing("read", folder)?;
        let identity = (about.dev(), about.ino());
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(_, lock)| lock.strong_count() > 0);
        for (known, lock) in held.iter() {
            if *known == identity
                && let Some(lock) = lock.upgrade()
            {
                return Ok(Self { _lock: lock });
            }
        }
        let lock = lock::FolderLock::wait(folder, Access::Exclusive, || {
            progress::note(format_args!(
                "waiting for another scalars that writes in {}",
                folder.display()
            ));
        })?;
        let lock = Arc::new(lock);
        held.push((identity, Arc::downgrade(&lock)));
        Ok(Self { _lock: lock })
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
        let try_take =
            || lock::FolderLock::try_take(folder.path(), Access::Exclusive).unwrap();
        drop(first);
        assert!(try_take().is_none());
        drop(second);
        assert!(try_take().is_some());
    }
}
