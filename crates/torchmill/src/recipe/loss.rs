//! `[train.loss]`: the loss function, in torch.nn's names and with its arguments.

use serde::{Deserialize, Serialize};

use super::training::refuse;
use crate::Result;

/// The loss function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Loss {
    /// `torch.nn.CrossEntropyLoss`: the mean over the batch of `-log softmax(outputs)[label]`.
    CrossEntropyLoss {
        /// The share of the target given to all classes alike, 0 to 1.
        #[serde(default)]
        label_smoothing: f64,
    },
}

impl Loss {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        let Self::CrossEntropyLoss { label_smoothing } = self;
        if !(0.0..=1.0).contains(label_smoothing) {
            return refuse("loss.label_smoothing", "must be from 0 to 1");
        }
        Ok(())
    }
}
