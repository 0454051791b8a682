//! Files that appear complete or not at all: they are written under a temporary name,
//! flushed to the disk and renamed.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::{NamedTempFile, TempDir, TempPath};

use crate::{Context, Error, Result};

/// The prefix of the names of unfinished files and folders.
pub(crate) const PREFIX: &str = ".partial-";
const BUFFER: usize = 1 << 20;

/// A file being written under a temporary name in its final folder. Dropped without
/// [`AtomicFile::commit`], it is deleted, and the file that had the final name before is
/// untouched.
///
/// A link is followed: the file that it leads to is replaced, and the link stays. A
/// device, a pipe or a socket cannot be replaced: it is written to directly.
pub struct AtomicFile {
    writer: Writer,
    path: PathBuf,
    /// Whether the temporary file lies in a locked folder.
    is_staged: bool,
}

enum Writer {
    Temporary(BufWriter<NamedTempFile>),
    Direct(BufWriter<File>),
}

impl AtomicFile {
    /// Starts a file that will be called `path`, and makes its folder if it is missing.
    ///
    /// The temporary file lies in the same folder, so the rename never crosses file
    /// systems. Files that killed processes left there are removed.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if is_written_directly(&path) {
            let mut options = fs::OpenOptions::new();
            // /dev/stdout may be a file that was longer.
            options.write(true).truncate(true);
            let file = options.open(&path).doing("write", &path)?;
            let writer = Writer::Direct(BufWriter::with_capacity(BUFFER, file));
            return Ok(Self { writer, path, is_staged: false });
        }
        let path = behind_links(path);
        let folder = folder_of(&path).to_path_buf();
        fs::create_dir_all(&folder).doing("make the folder", &folder)?;
        remove_abandoned_once(&folder);
        Self::create_in(&folder, path)
    }

    /// Like [`AtomicFile::create`], with the temporary file in `folder`, which must exist
    /// and be on the same file system as `path`.
    fn create_in(folder: &Path, path: PathBuf) -> Result<Self> {
        let temporary = locked_file(folder).doing("write in", folder)?;
        let writer = Writer::Temporary(BufWriter::with_capacity(BUFFER, temporary));
        Ok(Self { writer, path, is_staged: false })
    }

    /// Flushes everything to the disk and gives the file its final name, replacing what
    /// was there.
    pub fn commit(self) -> Result<()> {
        let Self { writer, path, .. } = self;
        let Some(temporary) = flushed(writer, &path)? else { return Ok(()) };
        // The file stays open, and so locked, until it is renamed.
        temporary.persist(&path).map_err(|e| e.error).doing("write", &path)?;
        sync_folder(&path);
        Ok(())
    }

    /// Flushes everything to the disk but keeps the temporary name, so that many files
    /// can be committed together. A file of a [`Staging`] is closed.
    pub fn finish(self) -> Result<FinishedFile> {
        let Self { writer, path, is_staged } = self;
        let Some(temporary) = flushed(writer, &path)? else {
            return Ok(FinishedFile { temporary: None, _lock: None, path });
        };
        let (lock, temporary) = temporary.into_parts();
        let lock = Some(lock).filter(|_| !is_staged);
        Ok(FinishedFile { temporary: Some(temporary), _lock: lock, path })
    }
}

/// Writes what is buffered to the disk. `None` if there is no file to rename.
fn flushed(writer: Writer, path: &Path) -> Result<Option<NamedTempFile>> {
    match writer {
        Writer::Temporary(writer) => {
            let temporary = writer.into_inner().map_err(io::IntoInnerError::into_error);
            let temporary = temporary.doing("write", path)?;
            temporary.as_file().sync_all().doing("write", path)?;
            Ok(Some(temporary))
        }
        Writer::Direct(mut writer) => {
            writer.flush().doing("write", path)?;
            Ok(None)
        }
    }
}

/// Whether `path` is a device, a pipe, a socket or an open file (`/dev/stdout`,
/// `/proc/self/fd/3`), which cannot be replaced by another file.
fn is_written_directly(path: &Path) -> bool {
    let Ok(about) = fs::metadata(path) else { return false };
    if !about.is_file() && !about.is_dir() {
        return true;
    }
    let mut path = path.to_path_buf();
    // The system itself follows at most 40 links.
    for _ in 0..40 {
        if path.starts_with("/proc") || path.starts_with("/dev/fd") {
            return true;
        }
        let Ok(target) = fs::read_link(&path) else { return false };
        path = folder_of(&path).join(target);
    }
    false
}

/// Follows symbolic links; any other path is returned unchanged.
fn behind_links(path: PathBuf) -> PathBuf {
    let mut path = path;
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    path
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A complete file that does not have its final name yet. Dropped without
/// [`FinishedFile::commit`], it is deleted.
pub struct FinishedFile {
    /// `None` if the file was written directly.
    temporary: Option<TempPath>,
    /// Holds the file's lock unless its folder is locked.
    _lock: Option<File>,
    path: PathBuf,
}

impl FinishedFile {
    /// The file's length in bytes.
    pub fn length(&self) -> Result<u64> {
        let path = self.temporary.as_deref().unwrap_or(&self.path);
        Ok(fs::metadata(path).doing("read", &self.path)?.len())
    }

    /// Gives the file its final name, replacing what was there.
    pub fn commit(self) -> Result<()> {
        let Some(temporary) = self.temporary else { return Ok(()) };
        temporary.persist(&self.path).map_err(|e| e.error).doing("write", &self.path)?;
        sync_folder(&self.path);
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Writer::Temporary(writer) => writer.write(bytes),
            Writer::Direct(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Writer::Temporary(writer) => writer.flush(),
            Writer::Direct(writer) => writer.flush(),
        }
    }
}

/// Writes `bytes` to `path`, complete or not at all.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).doing("write", path)?;
    file.commit()
}

/// Makes the rename durable. Errors are ignored: not every file system can do this, and
/// the file is complete either way.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
}

/// A temporary subfolder for the unfinished files of one process. Dropping it deletes it
/// with what is still in it; if the process is killed, the next [`Staging`] in the same
/// folder does so.
pub struct Staging {
    temporary: LockedFolder,
    path: PathBuf,
}

impl Staging {
    /// Creates a staging folder in `path`, which is created if it is missing, and removes
    /// what killed processes left there.
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).doing("make the folder", path)?;
        Ok(Self { temporary: LockedFolder::create(path)?, path: path.to_path_buf() })
    }

    /// Starts a file that will be called `name` in the folder. If it is not committed, it
    /// is deleted together with the staging folder.
    pub fn file(&self, name: &str) -> Result<AtomicFile> {
        let folder = self.temporary.folder.path();
        let file = AtomicFile::create_in(folder, self.path.join(name))?;
        Ok(AtomicFile { is_staged: true, ..file })
    }
}

/// A folder with a temporary name, locked so that no process mistakes it for one that a
/// killed process left.
struct LockedFolder {
    folder: TempDir,
    /// Holds the lock; `None` if the file system has no locks.
    _lock: Option<File>,
}

impl LockedFolder {
    fn create(parent: &Path) -> Result<Self> {
        remove_abandoned(parent);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        loop {
            let folder = builder.tempdir_in(parent).doing("write in", parent)?;
            match File::open(folder.path()) {
                Ok(lock) if lock_new(&lock, folder.path()) => {
                    return Ok(Self { folder, _lock: Some(lock) });
                }
                // Another process has removed it, or is about to.
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                // A folder that cannot be opened cannot be mistaken for an abandoned one.
                Err(_) => return Ok(Self { folder, _lock: None }),
            }
        }
    }
}

/// A new file with a temporary name, locked so that no process mistakes it for one that a
/// killed process left.
fn locked_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // Permissions follow the umask, as for any other new file; by default only the user
    // has access.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let file = builder.tempfile_in(folder)?;
        if lock_new(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// Locks a file or folder that this process has just created, for as long as it is open.
/// Returns false if another process took it for abandoned before it was locked and
/// removes it; it must then be created again.
fn lock_new(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        Ok(()) => is_at(file, path),
        // On a file system without locks, nothing is ever taken for abandoned.
        Err(TryLockError::Error(_)) => true,
    }
}

/// Whether `path` is still the name of this open file or folder.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Removes what killed processes left unfinished in `folder`: files and folders with a
/// temporary name that no process has locked. What cannot be removed stays.
pub fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A folder that was to be replaced may be the only copy of its files.
        if name.starts_with(PREFIX) && !name.ends_with(REPLACED) {
            remove_if_abandoned(&entry);
        }
    }
}

fn remove_if_abandoned(entry: &DirEntry) {
    let Ok(about) = entry.metadata() else { return };
    // Opening a pipe would wait for its other end, and links cannot be locked.
    if !about.is_file() && !about.is_dir() {
        return;
    }
    let path = entry.path();
    let Ok(file) = File::open(&path) else { return };
    // The lock is kept until it is removed, so that `lock_new` notices.
    if file.try_lock().is_err() || !is_at(&file, &path) {
        return;
    }
    let _ =
        if about.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
}

/// [`remove_abandoned`], once for each folder that this process writes files in.
fn remove_abandoned_once(folder: &Path) {
    static CLEANED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut cleaned = CLEANED.lock().unwrap_or_else(PoisonError::into_inner);
    if cleaned.insert(folder.to_path_buf()) {
        remove_abandoned(folder);
    }
}

/// The suffix of the name of a folder that is being replaced.
const REPLACED: &str = "replaced";

/// A folder that is filled next to its final place; like [`AtomicFile`], all or nothing.
pub struct AtomicFolder {
    temporary: LockedFolder,
    path: PathBuf,
}

impl AtomicFolder {
    /// Starts a folder that will be called `path`, and removes what killed processes left
    /// next to it. Fill [`AtomicFolder::path`], then commit.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let parent = folder_of(&path);
        fs::create_dir_all(parent).doing("make the folder", parent)?;
        Ok(Self { temporary: LockedFolder::create(parent)?, path })
    }

    /// The folder to write to until the commit.
    pub fn path(&self) -> &Path {
        self.temporary.folder.path()
    }

    /// Gives the folder its final name. An existing folder is replaced, in one step if
    /// the file system can exchange two names, and put back if that fails.
    pub fn commit(self) -> Result<()> {
        let Self { temporary: LockedFolder { folder, _lock }, path } = self;
        let new = folder.keep();
        let renamed = match fs::symlink_metadata(&path) {
            Ok(_) => replace(&new, &path),
            Err(_) => fs::rename(&new, &path).map(|()| None),
        };
        match renamed {
            Ok(old) => {
                sync_folder(&path);
                old.map_or(Ok(()), |old| remove(&old))
            }
            Err(e) => {
                let _ = fs::remove_dir_all(&new);
                Err(Error::io(format_args!("cannot write {}", path.display()), e))
            }
        }
    }

    /// Gives the folder its final name unless a folder that is not empty already has it:
    /// then this one is deleted and the result is `false`.
    pub fn commit_new(self) -> Result<bool> {
        let Self { temporary: LockedFolder { folder, _lock }, path } = self;
        match fs::rename(folder.path(), &path) {
            Ok(()) => {
                let _ = folder.keep();
                sync_folder(&path);
                Ok(true)
            }
            Err(e) if is_occupied(&e) => Ok(false),
            Err(e) => Err(Error::io(format_args!("cannot write {}", path.display()), e)),
        }
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
    )
}

/// Renames `new` to `path`, replacing what is there, and returns where that is now.
fn replace(new: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    match exchange(new, path) {
        Ok(()) => return Ok(Some(new.to_path_buf())),
        // It has been removed in the meantime.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return fs::rename(new, path).map(|()| None);
        }
        // The file system cannot: rename twice, which `restore` undoes after a kill.
        Err(_) => {}
    }
    let aside = aside(path);
    fs::rename(path, &aside)?;
    if let Err(e) = fs::rename(new, path) {
        fs::rename(&aside, path)?;
        return Err(e);
    }
    Ok(Some(aside))
}

#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn remove(old: &Path) -> Result<()> {
    let is_folder = fs::symlink_metadata(old).is_ok_and(|about| about.is_dir());
    let removed = if is_folder { fs::remove_dir_all(old) } else { fs::remove_file(old) };
    match removed {
        // Another process may have removed it first.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing("remove", old),
    }
}

/// The temporary path of a folder that is being replaced in two steps.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{PREFIX}{name}.{REPLACED}"))
}

/// Restores the folder `path` if a process was killed while replacing it in two steps, or
/// removes the old folder if the new one is in place.
pub fn restore(path: &Path) -> Result<()> {
    let aside = aside(path);
    if fs::symlink_metadata(&aside).is_err() {
        return Ok(());
    }
    if path.exists() {
        remove(&aside)
    } else {
        fs::rename(&aside, path).doing("restore", path)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_link_stays_and_the_file_behind_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("deep")).unwrap();
        std::os::unix::fs::symlink("deep/file", at("link")).unwrap();
        // The link's target may not exist yet.
        for contents in [b"first", b"again"] {
            write(at("link"), contents).unwrap();
            assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
            assert_eq!(fs::read(at("deep/file")).unwrap(), contents);
        }
        assert_eq!(fs::read_dir(at("deep")).unwrap().count(), 1);
    }

    #[test]
    fn devices_pipes_and_open_files_are_written_to() {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::FileTypeExt;

        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        write(&fifo, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
        let link = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        write(&link, b"nothing").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        // Like /dev/stdout when it is redirected to a file.
        let open = File::create(folder.path().join("open")).unwrap();
        fs::write(folder.path().join("open"), b"longer than what comes").unwrap();
        write(format!("/proc/self/fd/{}", open.as_raw_fd()), b"short").unwrap();
        assert_eq!(fs::read(folder.path().join("open")).unwrap(), b"short");
    }

    #[test]
    fn a_folder_is_cleaned_before_a_file_is_written_in_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".partial-killed"), b"half").unwrap();
        write(folder.path().join("file"), b"whole").unwrap();
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

    #[test]
    fn a_new_folder_replaces_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("set");
        let commit = |contents: &[u8]| {
            let folder = AtomicFolder::create(&path).unwrap();
            write(folder.path().join("file"), contents).unwrap();
            folder.commit_new().unwrap()
        };
        fs::create_dir(&path).unwrap();
        assert!(commit(b"first"), "an empty folder is nothing to lose");
        assert!(!commit(b"second"));
        assert_eq!(fs::read(path.join("file")).unwrap(), b"first");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_a_killed_process_moved_aside_is_put_back() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("set");
        write(aside(&path).join("old"), b"").unwrap();
        restore(&path).unwrap();
        assert!(path.join("old").exists());
        // Once the new folder is in place, the old one is removed.
        write(aside(&path).join("older"), b"").unwrap();
        restore(&path).unwrap();
        assert!(path.join("old").exists() && !path.join("older").exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        restore(&path).unwrap();
    }

    #[test]
    fn what_killed_processes_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let running = Staging::create(parent.path()).unwrap();
        let mut file = running.file("whole").unwrap();
        file.write_all(b"whole").unwrap();
        let file = file.finish().unwrap();
        // Another process that has only just started.
        let new = Staging::create(parent.path()).unwrap();
        let empty = locked_file(parent.path()).unwrap();
        for folder in [".partial-killed", ".partial-old.replaced", "mine"] {
            write(at(folder).join("half"), b"").unwrap();
        }
        fs::create_dir(at(".partial-killed-at-once")).unwrap();
        for file in [".partial-killed-file", "file"] {
            fs::write(at(file), b"").unwrap();
        }
        std::os::unix::fs::symlink("file", at(".partial-link")).unwrap();
        let folder = AtomicFolder::create(at("set")).unwrap();
        for gone in [".partial-killed", ".partial-killed-at-once", ".partial-killed-file"]
        {
            assert!(!at(gone).exists(), "{gone}");
        }
        for there in [".partial-link", ".partial-old.replaced", "mine", "file"] {
            assert!(at(there).exists(), "{there}");
        }
        assert!(new.temporary.folder.path().exists() && empty.path().exists());
        drop(folder);
        file.commit().unwrap();
        assert_eq!(fs::read(at("whole")).unwrap(), b"whole");
    }

    #[test]
    fn a_finished_file_is_nobodys_to_remove() {
        let folder = tempfile::tempdir().unwrap();
        let file = AtomicFile::create(folder.path().join("file")).unwrap();
        let file = file.finish().unwrap();
        remove_abandoned(folder.path());
        file.commit().unwrap();
        assert!(folder.path().join("file").exists());
    }

    #[test]
    fn a_new_file_that_is_taken_for_abandoned_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(PREFIX);
        let file = builder.tempfile_in(folder.path()).unwrap();
        let other = File::open(file.path()).unwrap();
        other.try_lock().unwrap();
        assert!(!lock_new(file.as_file(), file.path()), "another process has the lock");
        drop(other);
        assert!(lock_new(file.as_file(), file.path()));
        let file = builder.tempfile_in(folder.path()).unwrap();
        remove_abandoned(folder.path());
        assert!(!file.path().exists());
        assert!(!lock_new(file.as_file(), file.path()), "it is gone");
    }

    /// Threads create and remove files at the same time, as processes would.
    #[test]
    fn no_file_is_lost_to_those_who_clean_up() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        remove_abandoned(folder.path());
                        std::thread::sleep(Duration::from_micros(200));
                    }
                });
            }
            for i in 0..40 {
                write(folder.path().join(format!("{i}")), b"whole").unwrap();
                let staging = Staging::create(folder.path()).unwrap();
                staging.file("staged").unwrap().commit().unwrap();
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 41);
    }
}
