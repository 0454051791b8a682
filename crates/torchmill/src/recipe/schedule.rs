//! `[train.schedule]`: the learning rate's, in torch.optim.lr_scheduler's names and with its arguments.

use serde::{Deserialize, Serialize};

use super::training::refuse;
use crate::Result;

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

impl Schedule {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::StepLR { step_size: 0, .. } => refuse("schedule.step_size", "must be at least 1"),
            Self::CosineAnnealingLR { t_max: Some(0), .. } => refuse("schedule.T_max", "must be at least 1"),
            Self::OneCycleLR { pct_start, .. } if !(0.0..=1.0).contains(pct_start) => {
                refuse("schedule.pct_start", "must be from 0 to 1")
            }
            _ => Ok(()),
        }
    }
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
