//! Continues from a checkpoint: loads its weights, its training state, and the metrics up
//! to it.

use std::io::ErrorKind;
use std::path::Path;

use torchmill::recipe::Train;
use torchmill::run::{RunDir, state_path};
use torchmill::{Context, Error, Result, progress};
use torchmill_nn::checkpoint;
use torchmill_nn::model::Model;
use torchmill_nn::state::{BatchOrder, SplitDigest, State};

/// Loads the checkpoint and its training state, and checks that they match each other and
/// the data.
pub fn load(
    path: &Path,
    model: &mut Model,
    splits: &[SplitDigest],
    train: &Train,
    processes: u32,
) -> Result<State> {
    let state_path = state_path(path);
    if !state_path.exists() {
        return Err(Error::failed(format_args!(
            "{} has no training state next to it, {}: copy that, too, or take only the \
             weights with --init",
            path.display(),
            state_path.display()
        )));
    }
    let state = State::read(&state_path)?;
    let bytes = std::fs::read(path).doing("read", path)?;
    let checksum = checkpoint::checksum(&bytes);
    let checkpoint = checkpoint::decode(bytes).map_err(|e| e.within(path.display()))?;
    if checksum != state.weights {
        return Err(Error::failed(format_args!(
            "{} and {} do not belong together: resume from another checkpoint, or take \
             only the weights with --init",
            path.display(),
            state_path.display()
        )));
    }
    check_splits(path, &state.splits, splits)?;
    check_batches(path, &state, &BatchOrder::of(train, processes))?;
    say_processes(&state, processes);
    model.load_state_dict(&checkpoint.tensors).map_err(|e| e.within(path.display()))?;
    Ok(state)
}

/// Fails if an epoch would continue with different batches: they would leave out some of
/// its images and repeat others.
fn check_batches(path: &Path, state: &State, now: &BatchOrder) -> Result<()> {
    if state.batch == 0 || state.order == *now {
        return Ok(());
    }
    Err(Error::usage(format_args!(
        "{} was saved in the middle of epoch {}, after {} {}: go on with those to the \
         end of the epoch, or branch off an epoch's checkpoint",
        path.display(),
        state.epoch + 1,
        state.batch,
        state.order,
    )))
}

/// Notes that the number of processes changes, and with it the size of all processes'
/// batches together.
fn say_processes(state: &State, processes: u32) {
    let before = state.order.processes();
    if before != processes {
        progress::note(format_args!(
            "note: the run goes on with {processes} processes, until now it had \
             {before}: the batches of all processes together have another size"
        ));
    }
}

/// Fails if the images differ: the run's curves would mix two test sets, or two training
/// sets.
fn check_splits(path: &Path, saved: &[SplitDigest], now: &[SplitDigest]) -> Result<()> {
    for split in saved {
        if now.contains(split) {
            continue;
        }
        let what = match split.purpose.as_str() {
            "train" => "trained",
            "val" => "validated",
            _ => "tested",
        };
        return Err(Error::failed(format_args!(
            "{}: the run was {what} on other shards than these, or another part of them: \
             give the same --data and validation, or start a new run with --init",
            path.display()
        )));
    }
    Ok(())
}

/// The rows of metrics.csv from before the checkpoint was saved. The steps after it will
/// be repeated.
pub fn metrics_before(checkpoint: &Path, state: &State) -> Result<Vec<u8>> {
    let run_dir = RunDir::of_checkpoint(checkpoint).ok_or_else(|| {
        Error::failed(format_args!(
            "{} is not in a run's checkpoints folder",
            checkpoint.display()
        ))
    })?;
    let path = run_dir.metrics();
    let mut rows = match std::fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        rows => rows.doing("read", &path)?,
    };
    if (rows.len() as u64) < state.metrics {
        return Err(Error::failed(format_args!(
            "{} has {} bytes, and had {} when {} was saved: put the whole file back, or \
             start a new --run with --init {}",
            path.display(),
            rows.len(),
            state.metrics,
            checkpoint.display(),
            checkpoint.display()
        )));
    }
    rows.truncate(state.metrics as usize);
    Ok(rows)
}
