//! A lock on a folder or a name, held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{Context, Result, interrupt};

/// A locked file. The system releases the lock when the process ends, however it ends.
/// The file stays: removing it could let two processes in.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Another process has the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The process, if it could be determined.
    pub process: Option<u32>,
}

impl FileLock {
    /// Takes the lock on the file at `path`, which is created if it is missing, unless
    /// another process has it. On a file system without locks, the lock is always free.
    pub fn try_take(path: &Path) -> Result<Result<Self, Held>> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .doing("write", path)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let text = fs::read_to_string(path).ok();
            let process = text.and_then(|text| text.trim().parse().ok());
            return Ok(Err(Held { process }));
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .doing("write", path)?;
        Ok(Ok(Self { _file: file }))
    }

    /// Waits for the lock. If another process has it, `waiting` is called once.
    pub fn wait(path: &Path, waiting: impl FnOnce()) -> Result<Self> {
        wait_for(|| Ok(Self::try_take(path)?.ok()), waiting)
    }
}

/// A lock on a folder itself, so that no file is left behind. The system releases it when
/// the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _folder: File,
}

/// Who may hold a [`FolderLock`] at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// One process.
    Exclusive,
    /// Any number of processes that also lock it as shared.
    Shared,
}

impl FolderLock {
    /// Takes the lock on a folder, which must exist, unless another process has it. On a
    /// file system without locks, the lock is always free.
    pub fn try_take(folder: &Path, access: Access) -> Result<Option<Self>> {
        let file = File::open(folder).doing("open", folder)?;
        let locked = match access {
            Access::Exclusive => file.try_lock(),
            Access::Shared => file.try_lock_shared(),
        };
        if let Err(TryLockError::WouldBlock) = locked {
            return Ok(None);
        }
        Ok(Some(Self { _folder: file }))
    }

    /// Waits for the lock. If another process has it, `waiting` is called once.
    pub fn wait(folder: &Path, access: Access, waiting: impl FnOnce()) -> Result<Self> {
        wait_for(|| Self::try_take(folder, access), waiting)
    }
}

/// Retries until the lock is free. If it is not free at once, `waiting` is called.
fn wait_for<T>(
    mut try_take: impl FnMut() -> Result<Option<T>>,
    waiting: impl FnOnce(),
) -> Result<T> {
    if let Some(lock) = try_take()? {
        return Ok(lock);
    }
    waiting();
    loop {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(50));
        if let Some(lock) = try_take()? {
            return Ok(lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_process_learns_which_one_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = FileLock::try_take(&path).unwrap().unwrap();
        let held = FileLock::try_take(&path).unwrap().unwrap_err();
        assert_eq!(held.process, Some(std::process::id()));
        drop(lock);
        FileLock::try_take(&path).unwrap().unwrap();
    }

    #[test]
    fn waiting_ends_when_the_lock_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = FileLock::try_take(&path).unwrap().unwrap();
        let mut calls = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                drop(lock);
            });
            FileLock::wait(&path, || calls += 1).unwrap();
        });
        assert!(calls <= 1);
    }

    #[test]
    fn a_folder_is_locked_by_one_or_shared_by_several() {
        let folder = tempfile::tempdir().unwrap();
        let take = |access| FolderLock::try_take(folder.path(), access).unwrap();
        let first = take(Access::Shared).unwrap();
        let second = take(Access::Shared).unwrap();
        assert!(take(Access::Exclusive).is_none());
        drop((first, second));
        let only = take(Access::Exclusive).unwrap();
        assert!(take(Access::Exclusive).is_none() && take(Access::Shared).is_none());
        drop(only);
        let mut calls = 0;
        FolderLock::wait(folder.path(), Access::Exclusive, || calls += 1).unwrap();
        assert_eq!(calls, 0);
    }
}
