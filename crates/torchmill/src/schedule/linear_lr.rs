//! `LinearLR`, stepped once a batch.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.LinearLR's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LinearLR {
    start_factor: f64,
    end_factor: f64,
    /// In steps; the length of the run if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_iters: Option<u64>,
}

impl Default for LinearLR {
    fn default() -> Self {
        Self { start_factor: 1.0 / 3.0, end_factor: 1.0, total_iters: None }
    }
}

impl Schedule for LinearLR {
    fn check(&self) -> Result<()> {
        if !(self.start_factor > 0.0 && self.start_factor <= 1.0) {
            return refuse("schedule.start_factor", "must be above 0 and at most 1");
        }
        if !(0.0..=1.0).contains(&self.end_factor) {
            return refuse("schedule.end_factor", "must be from 0 to 1");
        }
        if self.total_iters == Some(0) {
            return refuse("schedule.total_iters", "must be at least 1");
        }
        Ok(())
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        let total = self.total_iters.unwrap_or(at.steps).max(1);
        let part = at.step.min(total) as f64 / total as f64;
        base * (self.start_factor + (self.end_factor - self.start_factor) * part)
    }
}
