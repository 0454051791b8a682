//! `ExponentialLR`, stepped once an epoch.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule, multi_step_lr};
use crate::Result;

/// torch.optim.lr_scheduler.ExponentialLR's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExponentialLR {
    gamma: f64,
}

impl Schedule for ExponentialLR {
    fn check(&self) -> Result<()> {
        multi_step_lr::check_gamma(self.gamma)
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        base * self.gamma.powf(at.epoch as f64)
    }
}
