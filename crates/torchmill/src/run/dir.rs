//! A run's folder: config.toml, metrics.csv, and checkpoints with the links `last` and
//! `best`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{self, CHECKPOINTS, CONFIG, CheckpointKind, LOG, METRICS, Numbered};
use crate::lock::FileLock;
use crate::recipe::Recipe;
use crate::{Context, Error, Result, atomic, output};

/// The file that is locked while `train` works in the folder.
const LOCK: &str = ".lock";
/// The link to the newest checkpoint.
const LAST: &str = "last";
/// The link to the best checkpoint.
const BEST: &str = "best";

/// A run's folder and the names of what is in it.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: Option<FileLock>,
}

impl RunDir {
    /// The run in the folder at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), lock: None }
    }

    /// The run that a checkpoint belongs to: the parent of its `checkpoints` folder,
    /// which need not exist. `None` if the file's folder has another name.
    pub fn of_checkpoint(checkpoint: &Path) -> Option<Self> {
        Self::of_checkpoints(checkpoint.parent()?)
    }

    /// The run that a folder of checkpoints belongs to. `None` for a folder that is not
    /// called `checkpoints`.
    pub fn of_checkpoints(folder: &Path) -> Option<Self> {
        if folder.ends_with(CHECKPOINTS) {
            return folder.parent().map(Self::new);
        }
        // The working folder, for example, has no name.
        let is_named = folder.file_name().is_some();
        let real = Path::new(".").join(folder).canonicalize();
        if !is_named && real.is_ok_and(|real| real.ends_with(CHECKPOINTS)) {
            return Some(Self::new(folder.join("..")));
        }
        None
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe with everything resolved.
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// metrics.csv.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// run.jsonl.
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Whether the folder already holds a run: two runs never share a folder.
    pub fn is_taken(&self) -> bool {
        [CONFIG, METRICS, CHECKPOINTS].iter().any(|name| self.path.join(name).exists())
    }

    /// Rejects a folder that holds a run.
    pub fn check_free(&self) -> Result<()> {
        if !self.is_taken() {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "{} already holds a run: give another --run, or go on with it by --resume",
            self.path.display()
        )))
    }

    /// Rejects inputs that a run in this folder would overwrite. The files of a run are
    /// protected by [`RunDir::check_free`].
    pub fn check_inputs(&self, inputs: &[PathBuf]) -> Result<()> {
        for name in [LOG, LOCK] {
            output::check_not_input("--run:", &self.path.join(name), inputs)?;
        }
        Ok(())
    }

    /// Makes sure that no other process trains here while this one does. This does not
    /// create the folder.
    pub fn lock(&mut self) -> Result<()> {
        if self.lock.is_some() || !self.path.is_dir() {
            return Ok(());
        }
        match FileLock::try_take(&self.path.join(LOCK))? {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok(())
            }
            Err(held) => {
                let process = match held.process {
                    Some(process) => format!(" (process {process})"),
                    None => String::new(),
                };
                Err(Error::failed(format_args!(
                    "another train{process} is at work in {}: wait for it or stop it, or \
                     give another --run",
                    self.path.display()
                )))
            }
        }
    }

    /// Creates the folder, locked.
    pub fn make(&mut self) -> Result<()> {
        fs::create_dir_all(&self.path).doing("make the folder", &self.path)?;
        if self.lock.is_none() {
            self.lock()?;
            // Another process may have trained here since we looked.
            self.check_free()?;
        }
        Ok(())
    }

    /// Creates the folder of checkpoints, and removes unfinished files of a killed run.
    pub fn clear(&self) -> Result<()> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).doing("make the folder", &checkpoints)?;
        atomic::remove_abandoned(&self.path);
        atomic::remove_abandoned(&checkpoints);
        // Links cannot be locked. Only the process that has the run's lock makes them.
        for name in [LAST, BEST] {
            remove_if_there(&self.unfinished_link(name))?;
        }
        Ok(())
    }

    /// Writes config.toml.
    pub fn write_config(&self, recipe: &Recipe) -> Result<()> {
        atomic::write(self.config(), recipe.to_toml()?.as_bytes())
    }

    /// The checkpoint after this many epochs.
    pub fn epoch_checkpoint(&self, epoch: u64) -> PathBuf {
        self.checkpoints().join(files::epoch_name(epoch))
    }

    /// The checkpoint within an epoch, after this many steps.
    pub fn step_checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(files::step_name(step))
    }

    /// The checkpoints of epochs and steps, or the files next to them with another
    /// extension, by their numbers.
    pub fn numbered(&self, extension: &str) -> Result<Vec<Numbered>> {
        files::numbered_in(&self.checkpoints(), extension)
    }

    /// The link `last` or `best`.
    pub fn link(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{name}.{}", files::WEIGHTS))
    }

    /// Whether a checkpoint's path is the link of this name.
    pub fn is_link(&self, name: &str, path: &Path) -> bool {
        path == self.link(name)
    }

    /// The checkpoint that `last` or `best` points at. If copying the run has replaced
    /// the link by a file, that file.
    pub fn target(&self, name: &str) -> Result<Option<PathBuf>> {
        let link = self.link(name);
        match fs::read_link(&link) {
            Ok(target) => Ok(Some(self.checkpoints().join(target))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == ErrorKind::InvalidInput => Ok(Some(link)),
            Err(e) => Err(Error::io(format_args!("cannot read {}", link.display()), e)),
        }
    }

    /// Points `last` or `best` at a checkpoint in the folder of checkpoints.
    pub fn point(&self, name: &str, checkpoint: &Path) -> Result<()> {
        let link = self.link(name);
        let target = file_name(checkpoint)?;
        let temporary = self.unfinished_link(name);
        // A link is left if an earlier run was killed between the two calls below.
        remove_if_there(&temporary)?;
        std::os::unix::fs::symlink(target, &temporary).doing("write", &link)?;
        fs::rename(&temporary, &link).doing("write", &link)
    }

    /// Makes `best` point at the checkpoint after this epoch, or removes it.
    pub fn restore_best(&self, epoch: Option<u64>) -> Result<()> {
        if let Some(epoch) = epoch {
            return self.point(BEST, &self.epoch_checkpoint(epoch));
        }
        remove_if_there(&self.link(BEST))
    }

    /// The temporary name of a link until it is renamed.
    fn unfinished_link(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{}{name}", atomic::PREFIX))
    }

    /// Deletes the checkpoints within epochs except `kept`: a later checkpoint has made
    /// them useless.
    pub fn remove_step_checkpoints(&self, kept: Option<&Path>) -> Result<()> {
        for path in files::entries(&self.checkpoints())? {
            let stem = stem(&path);
            let is_kept = kept.is_some_and(|kept| kept.file_stem() == Some(&stem));
            if stem.to_string_lossy().starts_with("step-") && !is_kept {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Deletes the epochs' checkpoints except the newest `keep` and those that links such
    /// as `best` and `last` point at.
    pub fn prune(&self, keep: u64) -> Result<()> {
        let mut linked = Vec::new();
        for path in files::entries(&self.checkpoints())? {
            if let Ok(target) = fs::read_link(&path) {
                linked.push(stem(&target));
            }
        }
        let mut epochs = self.numbered(files::WEIGHTS)?;
        epochs.extend(self.numbered(files::STATE)?);
        epochs.retain(|file| file.kind == CheckpointKind::Epoch);
        let numbers: BTreeSet<u64> = epochs.iter().map(|file| file.number).collect();
        let old = numbers.len().saturating_sub(keep as usize);
        let old: BTreeSet<u64> = numbers.into_iter().take(old).collect();
        for Numbered { number, path, .. } in epochs {
            if old.contains(&number) && !linked.contains(&stem(&path)) {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }
}

/// Removes a file or a link, which may be missing.
fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.doing("remove", path),
    }
}

/// A file's name without its extension.
fn stem(path: &Path) -> OsString {
    path.file_stem().unwrap_or_default().to_owned()
}

fn file_name(path: &Path) -> Result<&std::ffi::OsStr> {
    path.file_name()
        .ok_or_else(|| Error::failed(format_args!("{} names no file", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(names: &[&str]) -> (tempfile::TempDir, RunDir) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path().join("run"));
        fs::create_dir_all(run.checkpoints()).unwrap();
        for name in names {
            fs::write(run.checkpoints().join(name), name).unwrap();
        }
        (folder, run)
    }

    #[test]
    fn links_point_at_checkpoints() {
        let (_folder, run) = run_with(&["epoch-0001.safetensors"]);
        assert_eq!(run.target("last").unwrap(), None);
        run.point("last", &run.epoch_checkpoint(1)).unwrap();
        assert_eq!(run.target("last").unwrap(), Some(run.epoch_checkpoint(1)));
        assert_eq!(fs::read(run.link("last")).unwrap(), b"epoch-0001.safetensors");
        run.restore_best(Some(1)).unwrap();
        assert!(run.link("best").exists());
        run.restore_best(None).unwrap();
        run.restore_best(None).unwrap();
        assert!(!run.link("best").exists());
    }

    #[test]
    fn a_copied_link_is_a_file_of_its_own() {
        let (_folder, run) = run_with(&["last.safetensors"]);
        let last = run.target("last").unwrap().unwrap();
        assert!(run.is_link("last", &last));
    }

    #[test]
    fn old_checkpoints_go_but_not_what_links_point_at() {
        let names = [
            "epoch-0001.safetensors",
            "epoch-0001.state",
            "epoch-0002.safetensors",
            "epoch-0002.state",
            "epoch-0003.safetensors",
            "epoch-0003.state",
            "step-00000009.safetensors",
        ];
        let (_folder, run) = run_with(&names);
        run.point("best", &run.epoch_checkpoint(1)).unwrap();
        run.prune(1).unwrap();
        run.remove_step_checkpoints(None).unwrap();
        let mut left: Vec<String> = files::entries(&run.checkpoints())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        left.sort();
        let expected = [
            "best.safetensors",
            "epoch-0001.safetensors",
            "epoch-0001.state",
            "epoch-0003.safetensors",
            "epoch-0003.state",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_second_train_is_told_which_process_has_the_folder() {
        let (_folder, mut run) = run_with(&[]);
        run.lock().unwrap();
        let error = RunDir::new(run.path()).lock().unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let (_folder, run) = run_with(&[".partial-xyz", "epoch-0001.state"]);
        let last = run.checkpoints().join(".partial-last");
        std::os::unix::fs::symlink("epoch-0001.safetensors", last).unwrap();
        // A file that another process is writing at this moment stays.
        let page = atomic::AtomicFile::create(run.path().join("page.html")).unwrap();
        run.clear().unwrap();
        assert_eq!(files::entries(&run.checkpoints()).unwrap().len(), 1);
        page.commit().unwrap();
        assert!(run.path().join("page.html").exists());
    }

    #[test]
    fn a_checkpoint_belongs_to_the_run_around_its_folder() {
        let run_of = |path: &str| {
            RunDir::of_checkpoint(Path::new(path)).map(|run| run.path().to_path_buf())
        };
        assert_eq!(run_of("runs/a/checkpoints/last.safetensors"), Some("runs/a".into()));
        assert_eq!(run_of("checkpoints/last.safetensors"), Some("".into()));
        assert_eq!(run_of("/checkpoints/last.safetensors"), Some("/".into()));
        for other in ["last.safetensors", "./a.pt", "weights/a.pt", "checkpoints.pt", ""]
        {
            assert_eq!(run_of(other), None, "{other}");
        }
        let (_folder, run) = run_with(&[]);
        fs::create_dir(run.checkpoints().join("deeper")).unwrap();
        let inside = run.checkpoints().join("deeper/..");
        let found = RunDir::of_checkpoints(&inside).unwrap();
        assert_eq!(found.path(), inside.join(".."));
    }

    #[test]
    fn an_input_is_not_overwritten() {
        let (_folder, run) = run_with(&[]);
        for name in [".lock", "run.jsonl"] {
            let recipe = run.path().join(name);
            fs::write(&recipe, "").unwrap();
            let error = run.check_inputs(std::slice::from_ref(&recipe)).unwrap_err();
            assert!(error.to_string().contains("would overwrite the input"), "{error}");
        }
        run.check_inputs(&[run.path().join("mine.toml")]).unwrap();
    }
}
