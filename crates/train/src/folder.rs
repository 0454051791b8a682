//! The run folder: config.toml, metrics.csv, and checkpoints with `last` and `best` pointing at one.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::recipe::Recipe;
use torchmill::{Context, Error, Result, atomic};

/// The recipe as it was resolved.
pub const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.csv";
const CHECKPOINTS: &str = "checkpoints";

/// A run's folder and the names of what is in it.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder at this path, there or not.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a run has been here: two never share a folder by accident.
    pub fn is_taken(&self) -> bool {
        [CONFIG, METRICS, CHECKPOINTS].iter().any(|name| self.path.join(name).exists())
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
        let link = self.link("last");
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

    fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    fn link(&self, name: &str) -> PathBuf {
        self.checkpoints().join(format!("{name}.safetensors"))
    }
}
