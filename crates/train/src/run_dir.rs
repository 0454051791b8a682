//! A run's folder: config.toml, metrics.csv, and checkpoints with `last` and `best`
//! pointing at one.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use torchmill::recipe::Recipe;
use torchmill::{Context, Error, Result, atomic};

use crate::lock::Lock;

/// The recipe as it was resolved.
pub const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.csv";
const CHECKPOINTS: &str = "checkpoints";

/// When a checkpoint was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// After an epoch.
    Epoch,
    /// In the middle of one.
    Step,
}

impl CheckpointKind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "epoch" => Some(Self::Epoch),
            "step" => Some(Self::Step),
            _ => None,
        }
    }
}

/// A checkpoint, or a file that belongs to one, with the number of epochs or steps before
/// it.
#[derive(Debug, Clone)]
pub struct Numbered {
    pub kind: CheckpointKind,
    pub number: u64,
    pub path: PathBuf,
}

/// A run's folder and the names of what is in it.
pub struct RunDir {
    path: PathBuf,
    lock: Option<Lock>,
}

impl RunDir {
    /// The folder at this path, there or not.
    pub fn new(path: PathBuf) -> Self {
        Self { path, lock: None }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder holds a run: two never share a folder.
    pub fn is_taken(&self) -> bool {
        [CONFIG, METRICS, CHECKPOINTS].iter().any(|name| self.path.join(name).exists())
    }

    /// Refuses a folder that holds a run.
    pub fn check_free(&self) -> Result<()> {
        if !self.is_taken() {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "{} already holds a run: give another --run, or go on with it by --resume",
            self.path.display()
        )))
    }

    /// Makes sure that no other process trains here as long as this one does. This does
    /// not make the folder.
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
            self.check_free()?;
        }
        Ok(())
    }

    /// metrics.csv.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The checkpoint after this many epochs.
    pub fn epoch_checkpoint(&self, epoch: u64) -> PathBuf {
        self.checkpoints().join(format!("epoch-{epoch:04}.safetensors"))
    }

    /// The checkpoint in the middle of an epoch, after this many steps.
    pub fn step_checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step:08}.safetensors"))
    }

    /// The checkpoint that `last` or `best` points at. If copying the run has put a file in
    /// the link's place, it is that file.
    pub fn target(&self, name: &str) -> Result<Option<PathBuf>> {
        let link = self.link(name);
        match fs::read_link(&link) {
            Ok(target) => Ok(Some(self.checkpoints().join(target))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == ErrorKind::InvalidInput => Ok(Some(link)),
            Err(e) => Err(Error::io(format_args!("cannot read {}", link.display()), e)),
        }
    }

    /// Whether a checkpoint's path is that of a link of this name.
    pub fn is_link(&self, name: &str, path: &Path) -> bool {
        path == self.link(name)
    }

    /// The checkpoints of epochs and steps, or the files of another extension next to
    /// them, by their numbers.
    pub fn numbered(&self, extension: &str) -> Result<Vec<Numbered>> {
        let mut found = Vec::new();
        for path in self.in_checkpoints()? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            if let Some((kind, number)) = stem.split_once('-')
                && let Some(kind) = CheckpointKind::named(kind)
                && let Ok(number) = number.parse()
                && path.extension().is_some_and(|e| e == extension)
                && path.is_file()
            {
                found.push(Numbered { kind, number, path });
            }
        }
        found.sort_by_key(|numbered| numbered.number);
        Ok(found)
    }

    /// Makes the folder of checkpoints, and removes what a killed run left half-written.
    pub fn clear(&self) -> Result<()> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).doing("make the folder", &checkpoints)?;
        for folder in [&self.path, &checkpoints] {
            for entry in fs::read_dir(folder).doing("read the folder", folder)? {
                let path = entry.doing("read the folder", folder)?.path();
                if path
                    .file_name()
                    .is_some_and(|n| n.to_string_lossy().starts_with(".partial-"))
                {
                    fs::remove_file(&path).doing("remove", &path)?;
                }
            }
        }
        Ok(())
    }

    /// The recipe as it was resolved.
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Writes config.toml.
    pub fn write_config(&self, recipe: &Recipe) -> Result<()> {
        atomic::write(self.config(), recipe.to_toml()?.as_bytes())
    }

    /// Points `last` or `best` at a checkpoint.
    pub fn point(&self, name: &str, checkpoint: &Path) -> Result<()> {
        let link = self.link(name);
        let target = checkpoint.file_name().unwrap_or_default();
        let temporary = self.checkpoints().join(format!(".partial-{name}"));
        // Left over where an earlier run was killed between the two calls below.
        let _ = fs::remove_file(&temporary);
        std::os::unix::fs::symlink(target, &temporary).doing("write", &link)?;
        fs::rename(&temporary, &link).doing("write", &link)
    }

    /// Deletes the checkpoints in the middle of epochs except `kept`: a later checkpoint
    /// has made them useless.
    pub fn remove_step_checkpoints(&self, kept: Option<&Path>) -> Result<()> {
        for path in self.in_checkpoints()? {
            let stem = path.file_stem().unwrap_or_default();
            let is_kept = kept.is_some_and(|kept| kept.file_stem() == Some(stem));
            if stem.to_string_lossy().starts_with("step-") && !is_kept {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Makes `best` point at the checkpoint after this epoch, or removes it.
    pub fn restore_best(&self, epoch: Option<u64>) -> Result<()> {
        match epoch.map(|epoch| self.epoch_checkpoint(epoch)) {
            Some(path) => self.point("best", &path),
            None => match fs::remove_file(self.link("best")) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(
                    format_args!("cannot remove {}", self.link("best").display()),
                    e,
                )),
                _ => Ok(()),
            },
        }
    }

    /// Deletes the epochs' checkpoints except the newest `keep` and what links such as
    /// `best` and `last` point at.
    pub fn prune(&self, keep: u64) -> Result<()> {
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_owned();
        let linked: Vec<_> = self
            .in_checkpoints()?
            .iter()
            .filter_map(|p| Some(stem(&fs::read_link(p).ok()?)))
            .collect();
        let files = [self.numbered("safetensors")?, self.numbered("state")?].concat();
        let epochs: Vec<Numbered> =
            files.into_iter().filter(|n| n.kind == CheckpointKind::Epoch).collect();
        let numbers: BTreeSet<u64> = epochs.iter().map(|n| n.number).collect();
        let old = numbers.len().saturating_sub(keep as usize);
        let old: BTreeSet<u64> = numbers.into_iter().take(old).collect();
        for Numbered { number, path, .. } in epochs {
            if old.contains(&number) && !linked.contains(&stem(&path)) {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// The paths in the folder of checkpoints; none if there is no such folder.
    fn in_checkpoints(&self) -> Result<Vec<PathBuf>> {
        let folder = self.checkpoints();
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("read the folder", &folder)?,
        };
        entries.map(|entry| Ok(entry.doing("read the folder", &folder)?.path())).collect()
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    fn link(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{name}.safetensors"))
    }
}
