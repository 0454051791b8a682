//! `CosineAnnealingWarmRestarts`, stepped once an epoch.
//!
//! I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
//! 2017.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::cosine_annealing_lr::check_eta_min;
use super::{Position, Schedule};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.CosineAnnealingWarmRestarts' arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CosineAnnealingWarmRestarts {
    #[serde(rename = "T_0")]
    t_0: u64,
    #[serde(rename = "T_mult", default = "t_mult")]
    t_mult: u64,
    #[serde(default)]
    eta_min: f64,
}

fn t_mult() -> u64 {
    1
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn check(&self) -> Result<()> {
        if self.t_0 == 0 || self.t_mult == 0 {
            return refuse("schedule", "T_0 and T_mult must be at least 1");
        }
        check_eta_min(self.eta_min)
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        let mut since = at.epoch;
        let mut length = self.t_0;
        while since >= length {
            since -= length;
            length = length.saturating_mul(self.t_mult);
        }
        let cosine = (PI * since as f64 / length as f64).cos();
        self.eta_min + (base - self.eta_min) * (1.0 + cosine) / 2.0
    }
}
