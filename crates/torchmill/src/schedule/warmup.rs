//! `[train] warmup`: LinearLR up to the learning rate, before the schedule or on top of
//! it.

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::Result;
use crate::recipe::refuse;

/// `[train] warmup`: either epochs or steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// The number of epochs, stepped once an epoch; the schedule begins after them
    /// (SequentialLR).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// The number of steps, stepped once a batch; the schedule runs from the start
    /// (ChainedScheduler).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The initial share of the learning rate.
    #[serde(default = "start_factor")]
    pub start_factor: f64,
}

/// LinearLR's default.
fn start_factor() -> f64 {
    1.0 / 3.0
}

/// LinearLR's factor after `done` of `total`.
pub(super) fn factor(start_factor: f64, done: u64, total: u64) -> f64 {
    start_factor + (1.0 - start_factor) * done as f64 / total as f64
}

impl Warmup {
    /// Rejects values out of range, and a schedule that cannot be used with a warm-up.
    pub(super) fn check(&self, schedule: Option<&dyn Schedule>) -> Result<()> {
        if !(self.start_factor > 0.0 && self.start_factor <= 1.0) {
            return refuse("warmup.start_factor", "must be above 0 and at most 1");
        }
        if !matches!((self.epochs, self.steps), (Some(1..), None) | (None, Some(1..))) {
            return refuse("warmup", "takes either epochs or steps, at least 1");
        }
        match schedule.and_then(|schedule| schedule.refuses(self)) {
            Some(why) => refuse("warmup", why),
            None => Ok(()),
        }
    }
}
