//! `[train]`: the training loop and what it is made of, in PyTorch's names and with its defaults.

use serde::{Deserialize, Serialize};

use super::{EarlyStopping, Loss, Optimizer, Schedule};
use crate::{Error, Result};

/// `[train]`. What is left out is as in the article: CrossEntropyLoss, SGD at 0.01, ten epochs of shuffled
/// batches of 64, the last one dropped where it is smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// How often the whole training set is gone through.
    pub epochs: u64,
    /// The optimizer steps of the whole run, in place of `epochs`; the last epoch may end early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Evaluate after every so many epochs, and at the end.
    pub eval_every: u64,
    /// Train on so many batches of each epoch only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_train_batches: Option<usize>,
    /// Evaluate on the images of the first so many batches only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_eval_batches: Option<usize>,
    /// Train on the first so many batches, the same in every epoch and in their own order, to see whether the
    /// network can learn them by heart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overfit_batches: Option<usize>,
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
    /// When it is no use to go on; never where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 10,
            steps: None,
            eval_every: 1,
            limit_train_batches: None,
            limit_eval_batches: None,
            overfit_batches: None,
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
            early_stopping: None,
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
        let counts = [
            ("steps", self.steps.is_some_and(|n| n == 0)),
            ("eval_every", self.eval_every == 0),
            ("limit_train_batches", self.limit_train_batches == Some(0)),
            ("limit_eval_batches", self.limit_eval_batches == Some(0)),
            ("overfit_batches", self.overfit_batches == Some(0)),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, zero)| *zero) {
            return refuse(key, "must be at least 1");
        }
        self.loss.check()?;
        self.optimizer.check()?;
        self.early_stopping.as_ref().map_or(Ok(()), EarlyStopping::check)?;
        self.schedule.as_ref().map_or(Ok(()), Schedule::check)
    }
}

/// A value of `[train]` that its type allows and training does not.
pub(super) fn refuse(key: &str, what: &str) -> Result<()> {
    Err(Error::usage(format_args!("[train] {key} {what}")))
}
