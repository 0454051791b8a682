//! `[train]`: the training loop and what it is made of, in PyTorch's names and with its defaults.

use serde::{Deserialize, Serialize};

use super::{Loss, Optimizer, Schedule};
use crate::{Error, Result};

/// `[train]`. What is left out is as in the article: CrossEntropyLoss, SGD at 0.01, ten epochs of shuffled
/// batches of 64, the last one dropped where it is smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// How often the whole training set is gone through.
    pub epochs: u64,
    /// Images a step.
    pub batch_size: usize,
    /// Whether each epoch goes through the images in a new random order.
    pub shuffle: bool,
    /// Whether the last batch is left out where it is smaller than the others.
    pub drop_last: bool,
    /// Where all randomness comes from: `torch.manual_seed`'s argument.
    pub seed: u64,
    /// The arithmetic of the layers.
    pub precision: Precision,
    /// The loss function.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// How the learning rate changes; constant where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            shuffle: true,
            drop_last: true,
            seed: 0,
            precision: Precision::Fp32,
            loss: Loss::CrossEntropyLoss { label_smoothing: 0.0 },
            optimizer: Optimizer::Sgd {
                lr: 0.01,
                momentum: 0.0,
                dampening: 0.0,
                weight_decay: 0.0,
                nesterov: false,
            },
            schedule: None,
        }
    }
}

/// The arithmetic of the layers; the weights themselves are always fp32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32 throughout.
    #[default]
    Fp32,
    /// bfloat16 layers on float32 weights: several times faster where the processor has AMX or AVX512-BF16.
    Bf16,
    /// bf16 where this machine computes it in hardware, else fp32.
    Auto,
}

impl Train {
    /// Checks what the types do not: values out of range are usage errors.
    pub fn check(&self) -> Result<()> {
        if self.batch_size == 0 {
            return refuse("batch_size", "must be at least 1");
        }
        self.loss.check()?;
        self.optimizer.check()?;
        self.schedule.as_ref().map_or(Ok(()), Schedule::check)
    }
}

/// A value of `[train]` that its type allows and training does not.
pub(super) fn refuse(key: &str, what: &str) -> Result<()> {
    Err(Error::usage(format_args!("[train] {key} {what}")))
}
