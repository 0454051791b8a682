//! `[checkpoints]` and `[train.early_stopping]`: which checkpoints are kept, and when a
//! run ends early.

use serde::{Deserialize, Serialize};

use crate::metric::Direction;
use crate::{Error, Result};

/// `[checkpoints]`: which are saved and kept. Nothing here changes the training.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoints {
    /// The metric that `best` goes by, such as `test loss`; the accuracy if it is left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<String>,
    /// How many of the newest epochs' checkpoints are kept; all if it is left out. `best`
    /// is kept in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<u64>,
    /// Also save in the middle of epochs, each time after this number of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_every: Option<u64>,
    /// Save plain state dicts, without the network's structure.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weights_only: bool,
}

impl Checkpoints {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        for (key, value) in [("keep", self.keep), ("save_every", self.save_every)] {
            if value == Some(0) {
                return Err(Error::usage(format_args!(
                    "[checkpoints] {key} must be at least 1"
                )));
            }
        }
        Ok(())
    }
}

/// `[train.early_stopping]`: ends the run when a metric stops improving, like Lightning's
/// EarlyStopping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// The metric, such as `val loss`; the one that `best` goes by if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The run ends after this many evaluations in a row without improvement.
    #[serde(default = "patience")]
    pub patience: u64,
    /// Only a change of more than this is an improvement.
    #[serde(default)]
    pub min_delta: f64,
    /// Which way the metric gets better; it follows from the metric if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Direction>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { metric: None, patience: patience(), min_delta: 0.0, mode: None }
    }
}

impl EarlyStopping {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        if self.patience == 0 {
            return super::training::refuse(
                "early_stopping.patience",
                "must be at least 1",
            );
        }
        if !(self.min_delta.is_finite() && self.min_delta >= 0.0) {
            return super::training::refuse(
                "early_stopping.min_delta",
                "must be a number from 0 up",
            );
        }
        Ok(())
    }
}

// Lightning's EarlyStopping has patience=3.
fn patience() -> u64 {
    3
}
