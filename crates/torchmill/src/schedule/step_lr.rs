//! `StepLR`, stepped once an epoch.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule, multi_step_lr};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.StepLR's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepLR {
    step_size: u64,
    #[serde(default = "multi_step_lr::gamma")]
    gamma: f64,
}

impl Schedule for StepLR {
    fn check(&self) -> Result<()> {
        if self.step_size == 0 {
            return refuse("schedule.step_size", "must be at least 1");
        }
        multi_step_lr::check_gamma(self.gamma)
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        base * self.gamma.powf((at.epoch / self.step_size) as f64)
    }
}
