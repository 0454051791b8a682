//! Finds the checkpoint that `--resume` refers to.

use std::fs;
use std::path::{Path, PathBuf};

use torchmill::run::{CheckpointKind, RunDir, state_path};
use torchmill::{Context, Error, Result, metrics, progress, recipe};
use torchmill_nn::checkpoint;
use torchmill_nn::state::State;

/// The default value of `--resume`.
pub const LAST: &str = "last";

/// A checkpoint to continue from.
pub struct ResumePoint {
    /// The folder of the checkpoint's run.
    pub run: PathBuf,
    /// The checkpoint file. Links are resolved.
    pub checkpoint: PathBuf,
    /// Whether the user named this checkpoint. It may not be the run's last.
    pub is_named: bool,
}

/// The folder of the run that `--resume` names. `given` is the run's folder, its
/// checkpoints folder, or a checkpoint in it. `None` for `last`, and for a file in any
/// other folder.
pub fn named_run(given: &Path) -> Option<PathBuf> {
    if given == Path::new(LAST) {
        return None;
    }
    let run_dir = if !given.is_dir() {
        RunDir::of_checkpoint(given)?
    } else if holds_run(given) {
        RunDir::new(given)
    } else {
        RunDir::of_checkpoints(given).unwrap_or_else(|| RunDir::new(given))
    };
    Some(run_dir.path().to_path_buf())
}

fn holds_run(folder: &Path) -> bool {
    RunDir::new(folder).config().exists()
}

/// The checkpoint that `--resume` refers to. `None` if the run has none yet, so that the
/// same command line starts a run and, after a crash, continues it.
pub fn find(given: &Path, run: Option<&Path>) -> Result<Option<ResumePoint>> {
    if given == Path::new(LAST) {
        let run = run.ok_or_else(|| {
            Error::usage(
                "--resume needs --run DIR, or the run or checkpoint to go on from: \
                 --resume runs/first",
            )
        })?;
        return last_point(run.to_path_buf());
    }
    let named = named_run(given).ok_or_else(|| {
        Error::failed(format_args!(
            "{} is not in a run's checkpoints folder (--init takes only weights)",
            given.display(),
        ))
    })?;
    if !holds_run(&named) {
        let folder = if named.as_os_str().is_empty() { Path::new(".") } else { &named };
        return Err(Error::failed(format_args!(
            "{} is not a run, nor in a run's checkpoints folder: there is no config.toml \
             in {} to go on with (--init takes only weights)",
            given.display(),
            folder.display(),
        )));
    }
    if given.is_dir() {
        return last_point(named);
    }
    let checkpoint = checkpoint_file(given, &named)?;
    Ok(Some(ResumePoint { run: named, checkpoint, is_named: true }))
}

fn last_point(run: PathBuf) -> Result<Option<ResumePoint>> {
    let last = last_checkpoint(&run)?;
    Ok(last.map(|checkpoint| ResumePoint { run, checkpoint, is_named: false }))
}

/// A run's last checkpoint. If copying the run has dropped the links, or replaced them
/// with files, this is the newest intact checkpoint. `None` if the run has not saved a
/// checkpoint yet. Fails if it has, but none is intact.
pub fn last_checkpoint(run: &Path) -> Result<Option<PathBuf>> {
    let run_dir = RunDir::new(run);
    if let Some(last) = run_dir.target(LAST)?
        && !run_dir.is_link(LAST, &last)
        && last.try_exists().doing("read", &last)?
    {
        return Ok(Some(last));
    }
    if let Some(newest) = newest(&run_dir)? {
        progress::note(format_args!(
            "note: no link last.safetensors leads to a checkpoint of {} (a copy may have \
             dropped it): going on from the newest complete checkpoint, {}",
            run.display(),
            newest.display()
        ));
        return Ok(Some(newest));
    }
    if has_had_one(&run_dir)? {
        return Err(Error::failed(format_args!(
            "{} has been trained, but it has no complete checkpoint with its training state (.state) next to it: copy its checkpoints folder again, or \
             start a new --run (--init takes only weights)",
            run.display()
        )));
    }
    Ok(None)
}

/// The checkpoint of a run behind a path: a link's target, or the original of a copy.
fn checkpoint_file(given: &Path, run: &Path) -> Result<PathBuf> {
    let path = match (fs::read_link(given), given.parent()) {
        (Ok(target), Some(parent)) => parent.join(target),
        _ => given.to_path_buf(),
    };
    if !path.try_exists().doing("read", &path)? {
        return Err(Error::failed(format_args!(
            "cannot read {}: no such file",
            path.display()
        )));
    }
    if state_path(&path).exists() {
        return Ok(path);
    }
    for numbered in RunDir::new(run).numbered("safetensors")? {
        if state_path(&numbered.path).exists() && are_equal(&numbered.path, &path)? {
            return Ok(numbered.path);
        }
    }
    Ok(path)
}

/// Whether two files hold the same bytes.
fn are_equal(a: &Path, b: &Path) -> Result<bool> {
    let length = |path: &Path| fs::metadata(path).map(|about| about.len());
    if length(a).doing("read", a)? != length(b).doing("read", b)? {
        return Ok(false);
    }
    Ok(fs::read(a).doing("read", a)? == fs::read(b).doing("read", b)?)
}

/// The checkpoint with the most steps that has a matching training state.
fn newest(run_dir: &RunDir) -> Result<Option<PathBuf>> {
    let mut newest: Option<((u64, u64), PathBuf)> = None;
    let states = run_dir.numbered("state")?;
    for kind in [CheckpointKind::Epoch, CheckpointKind::Step] {
        // From the last one back, because states are as large as weights.
        for numbered in states.iter().rev().filter(|numbered| numbered.kind == kind) {
            let path = numbered.path.with_extension("safetensors");
            let Some(state) = whole_state(&path) else { continue };
            let done = (state.step, state.epoch);
            if newest.as_ref().is_none_or(|(before, _)| done > *before) {
                newest = Some((done, path));
            }
            break;
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// The training state of a checkpoint, if both are intact.
fn whole_state(checkpoint: &Path) -> Option<State> {
    let state = State::read(&state_path(checkpoint)).ok()?;
    let bytes = fs::read(checkpoint).ok()?;
    (checkpoint::checksum(&bytes) == state.weights).then_some(state)
}

/// Whether a run must have had a checkpoint: the first epoch's is saved before the second
/// epoch starts. A branch starts with the rows of the epochs before its branch point.
fn has_had_one(run_dir: &RunDir) -> Result<bool> {
    if !run_dir.numbered("state")?.is_empty() {
        return Ok(true);
    }
    let checkpoints = run_dir.numbered("safetensors")?;
    let begun_after = recipe::read(&run_dir.config())
        .map_or(0, |recipe| recipe.run.branched_after_epoch);
    let is_later = |epoch: u64| epoch > begun_after + 1;
    if checkpoints.iter().any(|n| n.kind == CheckpointKind::Epoch && is_later(n.number)) {
        return Ok(true);
    }
    let metrics = run_dir.metrics();
    if !metrics.exists() {
        return Ok(false);
    }
    Ok(match metrics::read_growing(&metrics) {
        Ok(rows) => rows.iter().any(|row| is_later(row.epoch)),
        // A file that cannot be read must not be replaced.
        Err(_) => true,
    })
}
