//! The names of the files and folders in a run's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::{Context, Result};

/// The recipe with everything resolved.
pub const CONFIG: &str = "config.toml";
/// The measured values.
pub const METRICS: &str = "metrics.csv";
/// When, where and on what data the run was made.
pub const LOG: &str = "run.jsonl";
/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The folder of contact sheets.
pub const SAMPLES: &str = "samples";
/// The extension of a checkpoint's weights.
pub const WEIGHTS: &str = "safetensors";
/// The extension of a checkpoint's training state.
pub(super) const STATE: &str = "state";

/// When a checkpoint was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// After an epoch.
    Epoch,
    /// Within an epoch.
    Step,
}

/// A checkpoint, or a file that belongs to one, with the number of epochs or steps before
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// What the number counts.
    pub kind: CheckpointKind,
    /// Epochs or steps, from 1.
    pub number: u64,
    /// The file.
    pub path: PathBuf,
}

impl Numbered {
    /// Reads `epoch-0001.EXTENSION` or `step-00000100.EXTENSION`; `None` for other names.
    pub fn of(path: PathBuf, extension: &str) -> Option<Self> {
        if path.extension().is_none_or(|found| found != extension) {
            return None;
        }
        let (kind, number) = path.file_stem()?.to_str()?.split_once('-')?;
        let kind = match kind {
            "epoch" => CheckpointKind::Epoch,
            "step" => CheckpointKind::Step,
            _ => return None,
        };
        let number = number.parse().ok()?;
        Some(Self { kind, number, path })
    }
}

/// The name of an epoch's checkpoint.
pub(super) fn epoch_name(epoch: u64) -> String {
    format!("epoch-{epoch:04}.{WEIGHTS}")
}

/// The name of a checkpoint within an epoch.
pub(super) fn step_name(step: u64) -> String {
    format!("step-{step:08}.{WEIGHTS}")
}

/// The path of the training state that belongs to a checkpoint.
pub fn state_path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_extension(STATE)
}

/// The checkpoint files with this extension in a folder, by their numbers; empty if there
/// is no such folder.
pub(super) fn numbered_in(folder: &Path, extension: &str) -> Result<Vec<Numbered>> {
    let mut found: Vec<Numbered> = entries(folder)?
        .into_iter()
        .filter_map(|path| Numbered::of(path, extension))
        .filter(|numbered| numbered.path.is_file())
        .collect();
    found.sort_by_key(|numbered| numbered.number);
    Ok(found)
}

/// The files `epoch-0001.EXTENSION` in a folder, by their epochs; empty if there is no
/// such folder.
pub fn epoch_files(folder: &Path, extension: &str) -> Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    for path in entries(folder)? {
        if let Some(numbered) = Numbered::of(path, extension)
            && numbered.kind == CheckpointKind::Epoch
        {
            found.insert(numbered.number, numbered.path);
        }
    }
    Ok(found)
}

/// The paths in a folder; empty if there is no such folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing("read the folder", folder)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.doing("read the folder", folder)?.path());
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "epoch-0010.png",
            "epoch-9.png",
            "epoch-0001.txt",
            "last.png",
            "epoch-x.png",
            "step-3.png",
        ];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = epoch_files(folder.path(), "png").unwrap();
        let expected = [(9, "epoch-9.png"), (10, "epoch-0010.png")];
        assert_eq!(
            found,
            expected.map(|(epoch, name)| (epoch, folder.path().join(name))).into()
        );
        let missing = folder.path().join("missing");
        assert_eq!(epoch_files(&missing, "png").unwrap(), BTreeMap::new());
        let numbers: Vec<u64> =
            numbered_in(folder.path(), "png").unwrap().iter().map(|n| n.number).collect();
        assert_eq!(numbers, [3, 9, 10]);
    }
}
