//! `[train.optimizer]`, in torch.optim's names and with its arguments.

use serde::{Deserialize, Serialize};

use super::training::refuse;
use crate::Result;

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
        #[serde(default, skip_serializing_if = "is_false")]
        amsgrad: bool,
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
        #[serde(default, skip_serializing_if = "is_false")]
        amsgrad: bool,
    },
    RMSprop {
        #[serde(default = "rmsprop_lr")]
        lr: f64,
        #[serde(default = "alpha")]
        alpha: f64,
        #[serde(default = "eps")]
        eps: f64,
        #[serde(default)]
        momentum: f64,
        #[serde(default)]
        centered: bool,
        #[serde(default)]
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The class's name in torch.optim.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "SGD",
            Self::Adam { .. } => "Adam",
            Self::AdamW { .. } => "AdamW",
            Self::RMSprop { .. } => "RMSprop",
        }
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match *self {
            Self::Sgd { lr, .. }
            | Self::Adam { lr, .. }
            | Self::AdamW { lr, .. }
            | Self::RMSprop { lr, .. } => lr,
        }
    }

    /// Sets the learning rate.
    pub fn set_lr(&mut self, new: f64) {
        match self {
            Self::Sgd { lr, .. }
            | Self::Adam { lr, .. }
            | Self::AdamW { lr, .. }
            | Self::RMSprop { lr, .. } => *lr = new,
        }
    }

    /// The weight decay.
    pub fn weight_decay(&self) -> f64 {
        match *self {
            Self::Sgd { weight_decay, .. }
            | Self::Adam { weight_decay, .. }
            | Self::AdamW { weight_decay, .. }
            | Self::RMSprop { weight_decay, .. } => weight_decay,
        }
    }

    /// Sets what OneCycleLR cycles: the momentum, or for Adam and AdamW the first beta.
    pub fn set_momentum(&mut self, new: f64) {
        match self {
            Self::Sgd { momentum, .. } | Self::RMSprop { momentum, .. } => {
                *momentum = new;
            }
            Self::Adam { betas, .. } | Self::AdamW { betas, .. } => betas[0] = new,
        }
    }

    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        let finite = |x: f64| x.is_finite() && x >= 0.0;
        if !finite(self.lr()) {
            return refuse("optimizer.lr", "must be a number from 0 up");
        }
        match *self {
            Self::Sgd { momentum, dampening, weight_decay, nesterov, .. } => {
                if !dampening.is_finite() {
                    return refuse("optimizer.dampening", "must be a number");
                }
                if !finite(momentum) || !finite(weight_decay) {
                    return refuse(
                        "optimizer",
                        "momentum and weight_decay must be numbers from 0 up",
                    );
                }
                if nesterov && (momentum <= 0.0 || dampening != 0.0) {
                    return refuse(
                        "optimizer.nesterov",
                        "requires a momentum and zero dampening",
                    );
                }
            }
            Self::Adam { betas, eps, weight_decay, .. }
            | Self::AdamW { betas, eps, weight_decay, .. } => {
                if !betas.iter().all(|b| (0.0..1.0).contains(b))
                    || !finite(eps)
                    || !finite(weight_decay)
                {
                    return refuse(
                        "optimizer",
                        "betas must be from 0 to below 1, eps and weight_decay from 0 up",
                    );
                }
            }
            Self::RMSprop { alpha, eps, momentum, weight_decay, .. } => {
                if ![alpha, eps, momentum, weight_decay].into_iter().all(finite) {
                    return refuse(
                        "optimizer",
                        "alpha, eps, momentum and weight_decay must be numbers from 0 up",
                    );
                }
            }
        }
        Ok(())
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
// torch.optim's own defaults: SGD, Adam and AdamW all have lr=1e-3, RMSprop 1e-2.
fn rmsprop_lr() -> f64 {
    1e-2
}
fn alpha() -> f64 {
    0.99
}
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
