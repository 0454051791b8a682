//! `MultiStepLR`, stepped once an epoch.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.MultiStepLR's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MultiStepLR {
    milestones: Vec<u64>,
    #[serde(default = "gamma")]
    gamma: f64,
}

/// PyTorch's default, which is also StepLR's.
pub(super) fn gamma() -> f64 {
    0.1
}

pub(super) fn check_gamma(gamma: f64) -> Result<()> {
    if gamma.is_finite() && gamma > 0.0 {
        return Ok(());
    }
    refuse("schedule.gamma", "must be a number above 0")
}

impl Schedule for MultiStepLR {
    fn check(&self) -> Result<()> {
        check_gamma(self.gamma)
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        let passed = self.milestones.iter().filter(|&&m| m <= at.epoch).count();
        base * self.gamma.powf(passed as f64)
    }
}
