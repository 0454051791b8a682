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
    /// The process, if it could be found out.
    pub process: Option<u32>,
}

impl FileLock {
    /// Takes the lock on the file at `path`, which is made if it is missing, unless
    /// another process has it. A file system without locks protects nothing: then it is
    /// as if the lock was free.
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

    /// Waits for the lock. If it is not free, `waiting` is called once.
    pub fn wait(path: &Path, waiting: impl FnOnce(Held)) -> Result<Self> {
        let mut waiting = Some(waiting);
        loop {
            match Self::try_take(path)? {
                Ok(lock) => return Ok(lock),
                Err(held) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(held);
                    }
                }
            }
            interrupt::check()?;
            thread::sleep(Duration::from_millis(100));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_come_learns_who_has_the_lock() {
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
        let mut told = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                drop(lock);
            });
            FileLock::wait(&path, |_| told += 1).unwrap();
        });
        assert!(told <= 1);
    }
}
