//! One `train` in a run folder at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use torchmill::{Context, Error, Result};

const LOCK: &str = ".lock";

/// Held while a run is under way; the system lets go of it when the process ends, however
/// it does.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder that is there, or says which process has it. Where the
    /// file system has no locks there is nothing to wait for and nothing to protect with.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .doing("write", &path)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let holder = if holder.is_empty() {
                String::new()
            } else {
                format!(" (process {holder})")
            };
            return Err(Error::failed(format_args!(
                "another train{holder} is at work in {}: wait for it or stop it, or give another --run",
                folder.display()
            )));
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .doing("write", &path)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).err().unwrap().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(lock);
        Lock::take(folder.path()).unwrap();
    }
}
