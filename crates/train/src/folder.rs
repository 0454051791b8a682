//! The run folder: config.toml, metrics.csv, and checkpoints with `last` and `best` pointing at one.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::recipe::Recipe;
use torchmill::{Context, Error, Result, atomic};

use crate::lock::Lock;

/// The recipe as it was resolved.
pub const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.csv";
const CHECKPOINTS: &str = "checkpoints";

/// A run's folder and the names of what is in it.
pub struct RunFolder {
    path: PathBuf,
    lock: Option<Lock>,
}

impl RunFolder {
    /// The folder at this path, there or not.
    pub fn new(path: PathBuf) -> Self {
        Self { path, lock: None }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a run has been here: two never share a folder by accident.
    pub fn is_taken(&self) -> bool {
        [CONFIG, METRICS, CHECKPOINTS].iter().any(|name| self.path.join(name).exists())
    }

    /// An error where a run has been here.
    pub fn must_be_free(&self) -> Result<()> {
        if !self.is_taken() {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "{} already holds a run: give another --run, or go on with it by --resume",
            self.path.display()
        )))
    }

    /// Makes sure that no other process trains here as long as this one does. A folder that is not there yet
    /// is not made for this.
    pub fn lock(&mut self) -> Result<()> {
        if self.lock.is_none() && self.path.is_dir() {
            self.lock = Some(Lock::take(&self.path)?);
        }
        Ok(())
    }

    /// Makes the folder, locked.
    pub fn make(&mut self) -> Result<()> {
        fs::create_dir_all(&self.path).doing("make the folder", &self.path)?;
        if self.lock.is_none() {
            self.lock()?;
            // Another process may have come, trained and gone since we looked.
            self.must_be_free()?;
        }
        Ok(())
    }

    /// Where the metrics go.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The checkpoint after so many epochs.
    pub fn epoch_checkpoint(&self, epoch: u64) -> PathBuf {
        self.checkpoints().join(format!("epoch-{epoch:04}.safetensors"))
    }

    /// The checkpoint in the middle of an epoch, after so many steps.
    pub fn step_checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step:08}.safetensors"))
    }

    /// The checkpoint that `last` points at.
    pub fn last(&self) -> Result<Option<PathBuf>> {
        self.target("last")
    }

    /// The checkpoint that `last` or `best` points at.
    pub fn target(&self, name: &str) -> Result<Option<PathBuf>> {
        let link = self.link(name);
        match fs::read_link(&link) {
            Ok(target) => Ok(Some(self.checkpoints().join(target))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format_args!("cannot read {}", link.display()), &e)),
        }
    }

    /// Makes the folder and writes config.toml. What a killed run left half-written is removed.
    pub fn write_config(&self, recipe: &Recipe) -> Result<()> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).doing("make the folder", &checkpoints)?;
        for folder in [&self.path, &checkpoints] {
            for entry in fs::read_dir(folder).doing("read the folder", folder)? {
                let path = entry.doing("read the folder", folder)?.path();
                if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".partial-")) {
                    fs::remove_file(&path).doing("remove", &path)?;
                }
            }
        }
        atomic::write(self.path.join(CONFIG), recipe.to_toml()?.as_bytes())
    }

    /// Points `last` or `best` at a checkpoint.
    pub fn point(&self, name: &str, checkpoint: &Path) -> Result<()> {
        let (link, target) = (self.link(name), checkpoint.file_name().unwrap_or_default());
        let temporary = self.checkpoints().join(format!(".partial-{name}"));
        // Left over where an earlier run was killed between the two calls below.
        let _ = fs::remove_file(&temporary);
        std::os::unix::fs::symlink(target, &temporary).doing("write", &link)?;
        fs::rename(&temporary, &link).doing("write", &link)
    }

    /// Deletes the checkpoints in the middle of epochs but this one: a later checkpoint has made them useless.
    pub fn remove_step_checkpoints(&self, but: Option<&Path>) -> Result<()> {
        let checkpoints = self.checkpoints();
        for entry in fs::read_dir(&checkpoints).doing("read the folder", &checkpoints)? {
            let path = entry.doing("read the folder", &checkpoints)?.path();
            let stem = path.file_stem().unwrap_or_default();
            let kept = but.is_some_and(|but| but.file_stem() == Some(stem));
            if stem.to_string_lossy().starts_with("step-") && !kept {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Makes `best` point at what was the best when the run was here, where that checkpoint is kept.
    pub fn restore_best(&self, epoch: Option<u64>) -> Result<()> {
        match epoch.map(|epoch| self.epoch_checkpoint(epoch)).filter(|path| path.exists()) {
            Some(path) => self.point("best", &path),
            None => match fs::remove_file(self.link("best")) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io(format_args!("cannot remove {}", self.link("best").display()), &e))
                }
                _ => Ok(()),
            },
        }
    }

    /// Deletes the epochs' checkpoints but for the newest `keep` and what `best` and `last` point at.
    pub fn prune(&self, keep: u64) -> Result<()> {
        let folder = self.checkpoints();
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kept = [self.target("best")?, self.target("last")?].map(|path| path.map(|p| stem(&p)));
        let mut epochs: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&folder).doing("read the folder", &folder)? {
            let path = entry.doing("read the folder", &folder)?.path();
            let number = stem(&path).strip_prefix("epoch-").and_then(|n| n.parse().ok());
            epochs.extend(number.map(|number| (number, path)));
        }
        let mut numbers: Vec<u64> = epochs.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let first = numbers.len().saturating_sub(keep as usize);
        for (number, path) in epochs {
            let is_old = numbers[..first].contains(&number);
            if is_old && !kept.contains(&Some(stem(&path))) {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    fn link(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{name}.safetensors"))
    }
}
