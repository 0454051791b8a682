//! `OneCycleLR`, stepped once a batch over the whole run, with `anneal_strategy="cos"`
//! and PyTorch's two phases.
//!
//! L. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using
//! Large Learning Rates", 2018.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule, Warmup, anneal};
use crate::Result;
use crate::recipe::refuse;

/// torch.optim.lr_scheduler.OneCycleLR's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneCycleLR {
    max_lr: f64,
    #[serde(default = "pct_start")]
    pct_start: f64,
    #[serde(default = "div_factor")]
    div_factor: f64,
    #[serde(default = "final_div_factor")]
    final_div_factor: f64,
    /// Whether the momentum, or the first beta, changes in the opposite direction.
    #[serde(default = "cycle_momentum")]
    cycle_momentum: bool,
    #[serde(default = "base_momentum")]
    base_momentum: f64,
    #[serde(default = "max_momentum")]
    max_momentum: f64,
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
fn cycle_momentum() -> bool {
    true
}
fn base_momentum() -> f64 {
    0.85
}
fn max_momentum() -> f64 {
    0.95
}

impl Schedule for OneCycleLR {
    fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.pct_start) {
            return refuse("schedule.pct_start", "must be from 0 to 1");
        }
        let positive = [self.max_lr, self.div_factor, self.final_div_factor];
        if !positive.iter().all(|x| x.is_finite() && *x > 0.0) {
            return refuse(
                "schedule",
                "max_lr, div_factor and final_div_factor must be above 0",
            );
        }
        let momenta = [self.base_momentum, self.max_momentum];
        if !momenta.iter().all(|x| (0.0..1.0).contains(x)) {
            return refuse(
                "schedule",
                "base_momentum and max_momentum must be from 0 to below 1",
            );
        }
        Ok(())
    }

    fn rate(&self, _base: f64, at: Position) -> f64 {
        let initial = self.max_lr / self.div_factor;
        self.cycle([initial, self.max_lr, initial / self.final_div_factor], at)
    }

    fn momentum(&self, at: Position) -> Option<f64> {
        if !self.cycle_momentum {
            return None;
        }
        Some(self.cycle([self.max_momentum, self.base_momentum, self.max_momentum], at))
    }

    fn refuses(&self, _warmup: &Warmup) -> Option<&'static str> {
        Some("does not go with OneCycleLR, which has its own: see pct_start")
    }

    fn lr_argument(&self) -> Option<&'static str> {
        Some("max_lr")
    }
}

impl OneCycleLR {
    /// From the first value to the middle one at `pct_start`, then to the last.
    fn cycle(&self, [first, middle, last]: [f64; 3], at: Position) -> f64 {
        let end = (at.steps.max(1) - 1) as f64;
        let peak = self.pct_start * at.steps as f64 - 1.0;
        let step = at.step as f64;
        if step <= peak {
            anneal(first, middle, if peak > 0.0 { step / peak } else { 1.0 })
        } else {
            anneal(middle, last, ((step - peak) / (end - peak)).min(1.0))
        }
    }
}
