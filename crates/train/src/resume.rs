//! Going on from a checkpoint: its weights, its training state, and the metrics up to
//! there.

use std::io::ErrorKind;
use std::path::Path;

use torchmill::recipe::Train;
use torchmill::{Context, Error, Result};
use torchmill_nn::checkpoint;
use torchmill_nn::model::Model;
use torchmill_nn::state::{self, Order, State};

use crate::folder::RunFolder;

/// Loads the checkpoint and its training state, and checks that they and the data belong
/// together.
pub fn take_up(
    path: &Path,
    model: &mut Model,
    data: &str,
    train: &Train,
) -> Result<State> {
    let state_path = state::path_beside(path);
    if !state_path.exists() {
        return Err(Error::failed(format_args!(
            "{} has no training state beside it, {}: copy that, too, or take the weights alone with --init",
            path.display(),
            state_path.display()
        )));
    }
    let state = State::read(&state_path)?;
    let bytes = std::fs::read(path).doing("read", path)?;
    let checkpoint = checkpoint::decode(&bytes).map_err(|e| e.within(path.display()))?;
    if checkpoint::checksum(&bytes) != state.weights {
        return Err(Error::failed(format_args!(
            "{} and {} do not belong together: resume from another checkpoint, or take the weights alone with --init",
            path.display(),
            state_path.display()
        )));
    }
    if state.data != data {
        return Err(Error::failed(format_args!(
            "{} was trained on other shards than these, or another part of them: give the same --data and validation, or start a new run with --init",
            path.display()
        )));
    }
    // Other batches would leave out some of the epoch's images and take others twice.
    if state.batch > 0 && state.order != Order::of(train) {
        return Err(Error::usage(format_args!(
            "{} was saved in the middle of epoch {}, after {} {}: go on with those to the end of the epoch, or branch off an epoch's checkpoint",
            path.display(),
            state.epoch + 1,
            state.batch,
            state.order,
        )));
    }
    model.load_state_dict(&checkpoint.tensors).map_err(|e| e.within(path.display()))?;
    Ok(state)
}

/// The rows of metrics.csv from before the checkpoint was saved: the steps after it will
/// be made again. Nothing where the run starts from the beginning.
pub fn metrics_before(resume: Option<&Path>, state: Option<&State>) -> Result<Vec<u8>> {
    let (Some(checkpoint), Some(state)) = (resume, state) else { return Ok(Vec::new()) };
    let run = checkpoint
        .parent()
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .unwrap_or_default();
    let path = RunFolder::new(run).metrics();
    let mut rows = match std::fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        rows => rows.doing("read", &path)?,
    };
    if (rows.len() as u64) < state.metrics {
        return Err(Error::failed(format_args!(
            "{} has {} bytes, and had {} when {} was saved: put the whole file back, or start a new --run with --init {}",
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
