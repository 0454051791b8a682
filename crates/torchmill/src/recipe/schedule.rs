//! `[train.schedule]`: the learning rate's, in torch.optim.lr_scheduler's names and with
//! its arguments.

use serde::{Deserialize, Serialize};

use super::training::refuse;
use crate::Result;

/// How the learning rate changes, with torch.optim.lr_scheduler's names and arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "fields are torch.optim.lr_scheduler's arguments, by name"
)]
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
    /// Stepped once an epoch.
    CosineAnnealingWarmRestarts {
        #[serde(rename = "T_0")]
        t_0: u64,
        #[serde(rename = "T_mult", default = "one")]
        t_mult: u64,
        #[serde(default)]
        eta_min: f64,
    },
    /// Stepped once an epoch; `total_iters` is the number of epochs where it is left out.
    PolynomialLR {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total_iters: Option<u64>,
        #[serde(default = "power")]
        power: f64,
    },
    /// Stepped after each evaluation, by what that found.
    ReduceLROnPlateau(Plateau),
    /// Stepped once a batch, over the whole run, with `anneal_strategy="cos"`.
    OneCycleLR {
        max_lr: f64,
        #[serde(default = "pct_start")]
        pct_start: f64,
        #[serde(default = "div_factor")]
        div_factor: f64,
        #[serde(default = "final_div_factor")]
        final_div_factor: f64,
        #[serde(default = "yes")]
        cycle_momentum: bool,
        #[serde(default = "base_momentum")]
        base_momentum: f64,
        #[serde(default = "max_momentum")]
        max_momentum: f64,
    },
}

/// ReduceLROnPlateau's arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(
    missing_docs,
    reason = "fields are torch.optim.lr_scheduler's arguments, by name"
)]
pub struct Plateau {
    /// What is looked at, after each evaluation; it decides PyTorch's `mode`.
    pub metric: PlateauMetric,
    pub factor: f64,
    pub patience: u64,
    pub threshold: f64,
    pub threshold_mode: ThresholdMode,
    pub cooldown: u64,
    pub min_lr: f64,
    pub eps: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            metric: PlateauMetric::Loss,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
        }
    }
}

/// What ReduceLROnPlateau looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlateauMetric {
    /// The mean loss, which should fall (`mode="min"`).
    #[default]
    Loss,
    /// The accuracy, which should rise (`mode="max"`).
    Accuracy,
}

/// Whether ReduceLROnPlateau's threshold is a share of the best value or a difference
/// from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "torch.optim.lr_scheduler's words")]
pub enum ThresholdMode {
    #[default]
    Rel,
    Abs,
}

/// `[train] warmup`: LinearLR up to the learning rate, before the schedule or beside it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// How many epochs, stepped once an epoch; the schedule begins after them
    /// (SequentialLR).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// How many steps, stepped once a batch; the schedule runs from the start
    /// (ChainedScheduler).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The share of the learning rate that it starts with.
    #[serde(default = "start_factor")]
    pub start_factor: f64,
}

impl Warmup {
    /// Values out of range are usage errors.
    pub(super) fn check(&self, schedule: Option<&Schedule>) -> Result<()> {
        if !(self.start_factor > 0.0 && self.start_factor <= 1.0) {
            return refuse("warmup.start_factor", "must be above 0 and at most 1");
        }
        if !matches!((self.epochs, self.steps), (Some(1..), None) | (None, Some(1..))) {
            return refuse("warmup", "takes either epochs or steps, at least 1");
        }
        if matches!(schedule, Some(Schedule::OneCycleLR { .. })) {
            return refuse(
                "warmup",
                "does not go with OneCycleLR, which has its own: see pct_start",
            );
        }
        if matches!(schedule, Some(Schedule::ReduceLROnPlateau(_)))
            && self.epochs.is_some()
        {
            return refuse("warmup", "takes steps, not epochs, beside ReduceLROnPlateau");
        }
        Ok(())
    }
}

impl Schedule {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::StepLR { gamma, .. }
            | Self::MultiStepLR { gamma, .. }
            | Self::ExponentialLR { gamma }
                if !(gamma.is_finite() && *gamma > 0.0) =>
            {
                refuse("schedule.gamma", "must be a number above 0")
            }
            Self::CosineAnnealingLR { eta_min, .. }
            | Self::CosineAnnealingWarmRestarts { eta_min, .. }
                if !(eta_min.is_finite() && *eta_min >= 0.0) =>
            {
                refuse("schedule.eta_min", "must be a number from 0 up")
            }
            Self::StepLR { step_size: 0, .. } => {
                refuse("schedule.step_size", "must be at least 1")
            }
            Self::CosineAnnealingLR { t_max: Some(0), .. } => {
                refuse("schedule.T_max", "must be at least 1")
            }
            Self::CosineAnnealingWarmRestarts { t_0, t_mult, .. }
                if *t_0 == 0 || *t_mult == 0 =>
            {
                refuse("schedule", "T_0 and T_mult must be at least 1")
            }
            Self::PolynomialLR { total_iters: Some(0), .. } => {
                refuse("schedule.total_iters", "must be at least 1")
            }
            Self::PolynomialLR { power, .. } if !(power.is_finite() && *power >= 0.0) => {
                refuse("schedule.power", "must be a number from 0 up")
            }
            Self::ReduceLROnPlateau(plateau) => {
                if !(plateau.factor > 0.0 && plateau.factor < 1.0) {
                    return refuse("schedule.factor", "must be above 0 and below 1");
                }
                let numbers = [plateau.threshold, plateau.min_lr, plateau.eps];
                if !numbers.iter().all(|x| x.is_finite() && *x >= 0.0) {
                    return refuse(
                        "schedule",
                        "threshold, min_lr and eps must be numbers from 0 up",
                    );
                }
                Ok(())
            }
            Self::OneCycleLR { pct_start, .. } if !(0.0..=1.0).contains(pct_start) => {
                refuse("schedule.pct_start", "must be from 0 to 1")
            }
            Self::OneCycleLR { max_lr, div_factor, final_div_factor, .. }
                if ![max_lr, div_factor, final_div_factor]
                    .iter()
                    .all(|x| x.is_finite() && **x > 0.0) =>
            {
                refuse(
                    "schedule",
                    "max_lr, div_factor and final_div_factor must be above 0",
                )
            }
            Self::OneCycleLR { base_momentum, max_momentum, .. }
                if ![base_momentum, max_momentum]
                    .iter()
                    .all(|x| (0.0..1.0).contains(*x)) =>
            {
                refuse(
                    "schedule",
                    "base_momentum and max_momentum must be from 0 to below 1",
                )
            }
            _ => Ok(()),
        }
    }
}

fn one() -> u64 {
    1
}
fn power() -> f64 {
    1.0
}
fn yes() -> bool {
    true
}
fn base_momentum() -> f64 {
    0.85
}
fn max_momentum() -> f64 {
    0.95
}
fn start_factor() -> f64 {
    1.0 / 3.0
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
