//! `[train]`: loss, optimizer, schedule and the loop around them, in PyTorch's names and with its defaults.

use serde::{Deserialize, Serialize};

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

/// The optimizer, with torch.optim's arguments and defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(missing_docs, reason = "fields are torch.optim's arguments, by name")]
pub enum Optimizer {
    #[serde(rename = "SGD")]
    Sgd {
        #[serde(default = "default_lr")]
        lr: f64,
        #[serde(default)]
        momentum: f64,
        #[serde(default)]
        dampening: f64,
        #[serde(default)]
        weight_decay: f64,
        #[serde(default)]
        nesterov: bool,
    },
    Adam {
        #[serde(default = "default_lr")]
        lr: f64,
        #[serde(default = "betas")]
        betas: [f64; 2],
        #[serde(default = "eps")]
        eps: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    AdamW {
        #[serde(default = "default_lr")]
        lr: f64,
        #[serde(default = "betas")]
        betas: [f64; 2],
        #[serde(default = "eps")]
        eps: f64,
        #[serde(default = "adamw_decay")]
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match *self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } | Self::AdamW { lr, .. } => lr,
        }
    }

    /// Sets the learning rate.
    pub fn set_lr(&mut self, new: f64) {
        match self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } | Self::AdamW { lr, .. } => *lr = new,
        }
    }
}

/// How the learning rate changes, with torch.optim.lr_scheduler's names and arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(missing_docs, reason = "fields are torch.optim.lr_scheduler's arguments, by name")]
pub enum Schedule {
    /// Stepped once an epoch.
    StepLR {
        step_size: u64,
        #[serde(default = "gamma")]
        gamma: f64,
    },
    /// Stepped once an epoch.
    MultiStepLR {
        milestones: Vec<u64>,
        #[serde(default = "gamma")]
        gamma: f64,
    },
    /// Stepped once an epoch.
    ExponentialLR { gamma: f64 },
    /// Stepped once an epoch; `T_max` is the number of epochs where it is left out.
    CosineAnnealingLR {
        #[serde(rename = "T_max", default, skip_serializing_if = "Option::is_none")]
        t_max: Option<u64>,
        #[serde(default)]
        eta_min: f64,
    },
    /// Stepped once a batch, over the whole run, with `anneal_strategy="cos"`; momentum is not cycled.
    OneCycleLR {
        max_lr: f64,
        #[serde(default = "pct_start")]
        pct_start: f64,
        #[serde(default = "div_factor")]
        div_factor: f64,
        #[serde(default = "final_div_factor")]
        final_div_factor: f64,
    },
}

impl Train {
    /// Checks what the types do not: values out of range are usage errors.
    pub fn check(&self) -> Result<()> {
        let fail = |key: &str, what: &str| Err(Error::usage(format_args!("[train] {key} {what}")));
        let finite = |x: f64| x.is_finite() && x >= 0.0;
        if self.batch_size == 0 {
            return fail("batch_size", "must be at least 1");
        }
        if !finite(self.optimizer.lr()) {
            return fail("optimizer.lr", "must be a number from 0 up");
        }
        match self.optimizer {
            Optimizer::Sgd { momentum, dampening, weight_decay, nesterov, .. } => {
                if !finite(momentum) || !finite(weight_decay) {
                    return fail("optimizer", "momentum and weight_decay must be numbers from 0 up");
                }
                if nesterov && (momentum <= 0.0 || dampening != 0.0) {
                    return fail("optimizer.nesterov", "requires a momentum and zero dampening");
                }
            }
            Optimizer::Adam { betas, eps, weight_decay, .. }
            | Optimizer::AdamW { betas, eps, weight_decay, .. } => {
                if !betas.iter().all(|b| (0.0..1.0).contains(b)) || !finite(eps) || !finite(weight_decay) {
                    return fail(
                        "optimizer",
                        "betas must be from 0 to below 1, eps and weight_decay from 0 up",
                    );
                }
            }
        }
        let Loss::CrossEntropyLoss { label_smoothing } = self.loss;
        if !(0.0..=1.0).contains(&label_smoothing) {
            return fail("loss.label_smoothing", "must be from 0 to 1");
        }
        match &self.schedule {
            Some(Schedule::StepLR { step_size: 0, .. }) => fail("schedule.step_size", "must be at least 1"),
            Some(Schedule::CosineAnnealingLR { t_max: Some(0), .. }) => {
                fail("schedule.T_max", "must be at least 1")
            }
            Some(Schedule::OneCycleLR { pct_start, .. }) if !(0.0..=1.0).contains(pct_start) => {
                fail("schedule.pct_start", "must be from 0 to 1")
            }
            _ => Ok(()),
        }
    }
}

// torch.optim's own defaults: SGD, Adam and AdamW all have lr=1e-3.
fn default_lr() -> f64 {
    1e-3
}
fn betas() -> [f64; 2] {
    [0.9, 0.999]
}
fn eps() -> f64 {
    1e-8
}
fn adamw_decay() -> f64 {
    1e-2
}
fn gamma() -> f64 {
    0.1
}
fn pct_start() -> f64 {
    0.3
}
fn div_factor() -> f64 {
    25.0
}
fn final_div_factor() -> f64 {
    1e4
}
