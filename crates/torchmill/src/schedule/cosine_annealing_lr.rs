//! `CosineAnnealingLR`, stepped once an epoch.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::{Position, Schedule};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.CosineAnnealingLR's arguments.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CosineAnnealingLR {
    /// In epochs; the length of the run if it is left out.
    #[serde(rename = "T_max", skip_serializing_if = "Option::is_none")]
    t_max: Option<u64>,
    eta_min: f64,
}

pub(super) fn check_eta_min(eta_min: f64) -> Result<()> {
    if eta_min.is_finite() && eta_min >= 0.0 {
        return Ok(());
    }
    refuse("schedule.eta_min", "must be a number from 0 up")
}

impl Schedule for CosineAnnealingLR {
    fn check(&self) -> Result<()> {
        if self.t_max == Some(0) {
            return refuse("schedule.T_max", "must be at least 1");
        }
        check_eta_min(self.eta_min)
    }

    fn rate(&self, base: f64, at: Position) -> f64 {
        let t_max = self.t_max.unwrap_or(at.epochs).max(1) as f64;
        let cosine = (PI * at.epoch as f64 / t_max).cos();
        self.eta_min + (base - self.eta_min) * (1.0 + cosine) / 2.0
    }
}
