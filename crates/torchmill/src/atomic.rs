//! Files that appear complete or not at all: written beside their place, flushed to the disk, renamed into it.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::{Context, Error, Result};

/// A file being written beside its final place. Dropped without [`AtomicFile::commit`], it is deleted and
/// whatever had the final name before is untouched.
pub struct AtomicFile {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will be called `path`, making its folder where it is missing.
    ///
    /// The temporary file lies in the same folder, so the rename never crosses a file system.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&folder).doing("make the folder", &folder)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        // As the umask says, like any other new file, rather than private to the user.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(&folder).doing("write in", &folder)?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 20, temporary), path })
    }

    /// Flushes everything to the disk and gives the file its final name, replacing what was there.
    pub fn commit(self) -> Result<()> {
        self.finish()?.commit()
    }

    /// Flushes everything to the disk and closes the file, which keeps its temporary name for now: for many
    /// files that are to appear together.
    pub fn finish(self) -> Result<FinishedFile> {
        let path = self.path;
        let temporary = self.writer.into_inner().map_err(std::io::IntoInnerError::into_error);
        let temporary = temporary.doing("write", &path)?;
        temporary.as_file().sync_all().doing("write", &path)?;
        Ok(FinishedFile { temporary: temporary.into_temp_path(), path })
    }
}

/// A file that is complete but not yet called by its final name. Dropped without
/// [`FinishedFile::commit`], it is deleted.
pub struct FinishedFile {
    temporary: TempPath,
    path: PathBuf,
}

impl FinishedFile {
    /// The file's length in bytes.
    pub fn length(&self) -> Result<u64> {
        Ok(fs::metadata(&self.temporary).doing("read", &self.path)?.len())
    }

    /// Gives the file its final name, replacing what was there.
    pub fn commit(self) -> Result<()> {
        self.temporary.persist(&self.path).map_err(|e| e.error).doing("write", &self.path)?;
        sync_folder(&self.path);
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// Writes `bytes` to `path`, complete or not at all.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).doing("write", path)?;
    file.commit()
}

/// Makes the rename itself durable. Not every file system can, and the file is whole either way.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// A folder being filled beside its final place; like [`AtomicFile`], all or nothing.
pub struct AtomicFolder {
    temporary: tempfile::TempDir,
    path: PathBuf,
}

impl AtomicFolder {
    /// Starts a folder that will be called `path`. Fill [`AtomicFolder::path`], then commit.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).doing("make the folder", parent)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let temporary = builder.tempdir_in(parent).doing("write in", parent)?;
        Ok(Self { temporary, path })
    }

    /// Where to write, until the commit.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the folder its final name. A folder already there is replaced, and put back if that fails.
    pub fn commit(self) -> Result<()> {
        let path = &self.path;
        let temporary = self.temporary.keep();
        let aside = temporary.with_extension("replaced");
        let replaced = path.exists();
        if replaced {
            fs::rename(path, &aside).doing("replace", path)?;
        }
        if let Err(e) = fs::rename(&temporary, path) {
            if replaced {
                let _ = fs::rename(&aside, path);
            }
            let _ = fs::remove_dir_all(&temporary);
            return Err(Error::io(format_args!("cannot write {}", path.display()), &e));
        }
        sync_folder(path);
        if replaced {
            fs::remove_dir_all(&aside).doing("remove", &aside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_only_after_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/deep/file");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn an_abandoned_file_leaves_what_was_there_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"before").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_replaces_another_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("set");
        fs::create_dir(&path).unwrap();
        write(path.join("old"), b"").unwrap();
        let folder = AtomicFolder::create(&path).unwrap();
        write(folder.path().join("new"), b"").unwrap();
        assert!(path.join("old").exists());
        folder.commit().unwrap();
        assert!(path.join("new").exists() && !path.join("old").exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
