//! Which checkpoint `--resume` means.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::{Error, Result, metrics, progress};
use torchmill_nn::checkpoint;
use torchmill_nn::state::{self, State};

use crate::folder::{CONFIG, Kind, RunFolder};

/// What `--resume` alone stands for.
const LAST: &str = "last";

/// A checkpoint to go on from.
pub struct Found {
    /// The folder of the run that it belongs to.
    pub run: PathBuf,
    /// The file itself, where a link was given.
    pub checkpoint: PathBuf,
    /// Whether it was asked for by name, and may not be the run's last.
    pub named: bool,
}

/// The folder of the run that is meant by `--resume` itself: a run's folder, or a
/// checkpoint in one.
pub fn run_of(given: &Path) -> Option<PathBuf> {
    if given == Path::new(LAST) {
        return None;
    }
    let checkpoints = if !given.is_dir() {
        given.parent()?
    } else if given.join(CONFIG).exists() || !given.ends_with("checkpoints") {
        return Some(given.to_path_buf());
    } else {
        given
    };
    Some(match checkpoints.parent() {
        Some(run) => run.to_path_buf(),
        // A bare file name: this is the checkpoints folder.
        None => PathBuf::from(".."),
    })
}

/// The checkpoint that `--resume` means; `None` where the run has none yet, so that the
/// same command line starts a run and, after a crash, goes on with it.
pub fn checkpoint(given: &Path, run: Option<&Path>) -> Result<Option<Found>> {
    let own = run_of(given);
    if let Some(own) = own.as_ref().filter(|own| !own.join(CONFIG).exists()) {
        return Err(Error::failed(format_args!(
            "{} is no run and in no run's checkpoints folder, so there is no config.toml in {} to go on with (--init takes weights alone)",
            given.display(),
            if own.as_os_str().is_empty() { Path::new(".") } else { own }.display(),
        )));
    }
    if let Some(own) = own.as_ref().filter(|_| !given.is_dir()) {
        return Ok(Some(Found {
            run: own.clone(),
            checkpoint: file(given)?,
            named: true,
        }));
    }
    let run = own.or_else(|| run.map(Path::to_path_buf));
    let run = run.ok_or_else(|| {
        Error::usage("--resume needs --run DIR, or the run or checkpoint to go on from: --resume runs/first")
    })?;
    Ok(last_of(&run)?.map(|checkpoint| Found { run, checkpoint, named: false }))
}

/// A run's last checkpoint. Copying a run may have dropped its links, or put files in
/// their place: then it is the newest one that is whole. An error where a run that has
/// had checkpoints has none to go on from any more.
pub fn last_of(run: &Path) -> Result<Option<PathBuf>> {
    let folder = RunFolder::new(run.to_path_buf());
    let is_there = |last: &PathBuf| last.exists() && !folder.is_link(LAST, last);
    if let Some(last) = folder.target(LAST)?.filter(is_there) {
        return Ok(Some(last));
    }
    if let Some(newest) = newest(&folder)? {
        progress::note(format_args!(
            "note: no link last.safetensors leads to a checkpoint of {} (a copy may have dropped it): going on from the newest that is whole, {}",
            run.display(),
            newest.display()
        ));
        return Ok(Some(newest));
    }
    if has_had_one(&folder)? {
        return Err(Error::failed(format_args!(
            "{} has been trained, but none of its checkpoints is there whole, with its training state (.state) beside it: copy its checkpoints folder again, or start a new --run (--init takes weights alone)",
            run.display()
        )));
    }
    progress::note(format_args!(
        "{} has no checkpoint yet: starting from the beginning",
        run.display()
    ));
    Ok(None)
}

/// The checkpoint that a path leads to: the one that a link points at, or that it is a
/// copy of.
fn file(given: &Path) -> Result<PathBuf> {
    let path = match (fs::read_link(given), given.parent()) {
        (Ok(target), Some(parent)) => parent.join(target),
        _ => given.to_path_buf(),
    };
    if !path.exists() {
        return Err(Error::failed(format_args!(
            "cannot read {}: no such file",
            path.display()
        )));
    }
    if state::path_beside(&path).exists() {
        return Ok(path);
    }
    let folder = RunFolder::new(run_of(given).unwrap_or_default());
    let length = |path: &Path| fs::metadata(path).map(|about| about.len()).ok();
    let same = |other: &PathBuf| {
        length(other) == length(&path)
            && fs::read(other).ok().is_some_and(|b| fs::read(&path).is_ok_and(|a| a == b))
    };
    let whole = folder.numbered("safetensors")?.into_iter().map(|numbered| numbered.path);
    Ok(whole
        .filter(|other| state::path_beside(other).exists())
        .find(same)
        .unwrap_or(path))
}

/// The checkpoint after the most steps whose training state is beside it and belongs to
/// it.
fn newest(folder: &RunFolder) -> Result<Option<PathBuf>> {
    let mut newest: Option<((u64, u64), PathBuf)> = None;
    let states = folder.numbered("state")?;
    for kind in [Kind::Epoch, Kind::Step] {
        // From the last on: states are as large as weights.
        let own = states.iter().rev().filter(|numbered| numbered.kind == kind);
        let whole = own.map(|numbered| numbered.path.with_extension("safetensors"));
        let found = whole.filter_map(|path| Some((state_of(&path)?, path))).next();
        if let Some((state, path)) = found {
            let at = (state.step, state.epoch);
            if newest.as_ref().is_none_or(|(before, _)| at > *before) {
                newest = Some((at, path));
            }
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// The training state beside a checkpoint, where both are whole.
fn state_of(path: &Path) -> Option<State> {
    let state = State::read(&state::path_beside(path)).ok()?;
    (checkpoint::checksum(&fs::read(path).ok()?) == state.weights).then_some(state)
}

/// Whether a run must once have had a checkpoint: the first epoch's is there before the
/// second begins.
fn has_had_one(folder: &RunFolder) -> Result<bool> {
    let later = folder
        .numbered("safetensors")?
        .into_iter()
        .any(|n| n.kind == Kind::Epoch && n.number > 1);
    let metrics = folder.metrics();
    let second = || {
        metrics.exists()
            && metrics::read_growing(&metrics)
                .map_or(true, |rows| rows.iter().any(|p| p.epoch > 1))
    };
    Ok(later || !folder.numbered("state")?.is_empty() || second())
}
