//! Going on from a checkpoint: its weights, its training state, and the metrics up to there.

use std::path::Path;

use torchmill::recipe::Train;
use torchmill::{Context, Error, Result, atomic};
use torchmill_nn::checkpoint;
use torchmill_nn::model::Model;
use torchmill_nn::state::{self, Order, State};

use crate::folder::RunFolder;
use crate::plan::Plan;

/// Loads the checkpoint and its training state, and checks that they and the data belong together.
pub fn take_up(path: &Path, model: &mut Model, data: &str, train: &Train) -> Result<State> {
    let state_path = state::path_beside(path);
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

/// Brings metrics.csv back to where the checkpoint was saved: the steps after it will be made again. A run
/// that goes on in another folder takes a copy of the rows up to there.
pub fn carry_metrics(plan: &Plan, length: u64) -> Result<()> {
    let to = plan.folder.metrics();
    let Some(from) = plan.resume.as_ref().and_then(|c| c.parent()?.parent()) else {
        return atomic::write(to, b"");
    };
    let from = RunFolder::new(from.to_path_buf()).metrics();
    let rows = std::fs::read(&from).doing("read", &from)?;
    let kept = rows.get(..length as usize).ok_or_else(|| {
        Error::failed(format_args!("{} is shorter than when the checkpoint was saved", from.display()))
    })?;
    atomic::write(to, kept)
}
