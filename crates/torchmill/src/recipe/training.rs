//! `[train]`: the training loop and its parts, with PyTorch's names and defaults.

use serde::{Deserialize, Serialize};

use super::{EarlyStopping, Group, NoDecay, ProgressiveResizing, Sampler, Tta, Typed};
use crate::schedule::{LearningRate, Warmup};
use crate::{Error, Result};

/// `[train]`. The defaults are the article's: CrossEntropyLoss, SGD at 0.01, ten epochs
/// of shuffled batches of 64, without a smaller last batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// The number of passes over the training set.
    pub epochs: u64,
    /// The number of optimizer steps of the whole run, instead of `epochs`; the last
    /// epoch may end early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Evaluate every this many epochs, and at the end.
    pub eval_every: u64,
    /// Train on at most this number of batches of each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_train_batches: Option<usize>,
    /// Evaluate on the images of at most this number of batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_eval_batches: Option<usize>,
    /// Train only on this many batches, the same in every epoch and in their own order,
    /// to see whether the network can memorise them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overfit_batches: Option<usize>,
    /// The number of images in a batch.
    pub batch_size: usize,
    /// Whether each epoch goes through the images in a new random order.
    pub shuffle: bool,
    /// Which images an epoch uses; all of them if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// Whether the last batch is left out if it is smaller than the others.
    pub drop_last: bool,
    /// The seed of all randomness: `torch.manual_seed`'s argument.
    pub seed: u64,
    /// The arithmetic of the layers.
    pub precision: Precision,
    /// The loss function and its arguments, which torchmill-nn checks.
    pub loss: Typed,
    /// The number of parts that a batch is computed in, one after the other, before the
    /// optimizer's step.
    pub accumulate: usize,
    /// The largest norm of all gradients taken together (`clip_grad_norm_`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// The largest absolute value of a gradient's element (`clip_grad_value_`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_value: Option<f64>,
    /// MixUp's alpha.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f64>,
    /// CutMix's alpha.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<f64>,
    /// Smaller images at the beginning of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progressive_resizing: Option<ProgressiveResizing>,
    /// Which weights do not decay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_decay: Vec<NoDecay>,
    /// An exponential moving average of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// Evaluate once more at the end, on these copies of each image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tta: Option<Tta>,
    /// A linear warm-up of the learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// Parameters with their own settings.
    #[serde(rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The optimizer and its arguments, which torchmill-nn checks.
    pub optimizer: Typed,
    /// How the learning rate changes; it is constant if this is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Typed>,
    /// When the run ends early; never if it is left out.
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
            sampler: None,
            drop_last: true,
            seed: 0,
            precision: Precision::Fp32,
            loss: default_loss(),
            accumulate: 1,
            clip_grad_norm: None,
            clip_grad_value: None,
            mixup: None,
            cutmix: None,
            progressive_resizing: None,
            no_decay: Vec::new(),
            ema: None,
            tta: None,
            warmup: None,
            groups: Vec::new(),
            optimizer: Typed::new("SGD").with("lr", 0.01),
            schedule: None,
            early_stopping: None,
        }
    }
}

/// The article's loss function.
pub fn default_loss() -> Typed {
    Typed::new("CrossEntropyLoss")
}

/// The arithmetic of the layers; the weights themselves are always fp32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32 throughout.
    #[default]
    Fp32,
    /// bfloat16 layers on float32 weights: several times faster where the processor has
    /// AMX or AVX512-BF16.
    Bf16,
    /// float16 layers on float32 weights, with dynamic loss scaling; for CUDA.
    Fp16,
    /// float32, matrices multiplied in TensorFloat-32; for CUDA.
    Tf32,
    /// bf16 where this machine computes it in hardware, else fp32.
    Auto,
}

impl Precision {
    /// The names that [`Precision::parse`] accepts.
    pub const NAMES: [&str; 5] = ["fp32", "bf16", "fp16", "tf32", "auto"];

    /// Reads `fp32`, `bf16`, `fp16`, `tf32` or `auto`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "fp32" => Ok(Self::Fp32),
            "bf16" => Ok(Self::Bf16),
            "fp16" => Ok(Self::Fp16),
            "tf32" => Ok(Self::Tf32),
            "auto" => Ok(Self::Auto),
            _ => Err(Error::usage(format_args!(
                "`{text}` is not one of fp32, bf16, fp16, tf32 and auto"
            ))),
        }
    }
}

/// `[train.ema]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ema {
    /// The share of the average that is kept at each step.
    pub decay: f64,
}

impl Default for Ema {
    fn default() -> Self {
        Self { decay: 0.999 }
    }
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
        if self.accumulate == 0 || self.accumulate > self.batch_size {
            return refuse("accumulate", "must be from 1 to batch_size");
        }
        let positive = |x: Option<f64>| x.is_none_or(|x| x.is_finite() && x > 0.0);
        for (key, value) in [
            ("clip_grad_norm", self.clip_grad_norm),
            ("clip_grad_value", self.clip_grad_value),
            ("mixup", self.mixup),
            ("cutmix", self.cutmix),
        ] {
            if !positive(value) {
                return refuse(key, "must be a number above 0");
            }
        }
        if self.ema.is_some_and(|ema| !(0.0..1.0).contains(&ema.decay)) {
            return refuse("ema.decay", "must be from 0 to below 1");
        }
        if let Some(sampler) = &self.sampler {
            sampler.check()?;
        }
        if let Some(resizing) = &self.progressive_resizing {
            resizing.check()?;
        }
        for group in &self.groups {
            group.check()?;
        }
        if let Some(early_stopping) = &self.early_stopping {
            early_stopping.check()?;
        }
        // torchmill-nn checks the optimizer and the loss.
        LearningRate::new(self).map(drop)
    }
}

/// Rejects a value of `[train]` that its type allows but training does not.
pub fn refuse(key: &str, what: &str) -> Result<()> {
    Err(Error::usage(format_args!("[train] {key} {what}")))
}
