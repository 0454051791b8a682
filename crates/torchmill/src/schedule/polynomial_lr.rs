//! `PolynomialLR`, stepped once an epoch.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.PolynomialLR's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolynomialLR {
    /// In epochs; the length of the run if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_iters: Option<u64>,
    power: f64,
}

impl Default for PolynomialLR {
    fn default() -> Self {
        Self { total_iters: None, power: 1.0 }
    }
}

impl Schedule for PolynomialLR {
    fn check(&self) -> Result<()> {
        if self.total_iters == Some(0) {
            return refuse("schedule.total_iters", "must be at least 1");
        }
        if !(self.power.is_finite() && self.power >= 0.0) {
            return refuse("schedule.power", "must be a number from 0 up");
        }
        Ok(())
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        let total = self.total_iters.unwrap_or(at.epochs).max(1) as f64;
        base * (1.0 - (at.epoch as f64).min(total) / total).powf(self.power)
    }
}
