//! Learning-rate schedules: the sequences of torch.optim.lr_scheduler.

use std::f64::consts::PI;

use torchmill::recipe::{Schedule, Train};

/// How far a run is, in the units that schedules count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Epochs completed.
    pub epoch: u64,
    /// Epochs of the whole run.
    pub epochs: u64,
    /// Optimizer steps made.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub steps: u64,
}

/// The learning rate of the next step for a group whose own is `base`, warm-up included.
///
/// A warm-up of epochs is SequentialLR's: LinearLR first, then the schedule from its
/// start. One of steps is ChainedScheduler's: LinearLR's factor on what the schedule
/// says.
pub fn rate(train: &Train, base: f64, at: Position) -> f64 {
    let schedule = train.schedule.as_ref();
    let Some(warmup) = train.warmup else { return learning_rate(schedule, base, at) };
    let factor = |done: u64, of: u64| {
        warmup.start_factor + (1.0 - warmup.start_factor) * done as f64 / of as f64
    };
    match (warmup.epochs, warmup.steps) {
        (Some(epochs), _) if at.epoch < epochs => base * factor(at.epoch, epochs),
        (Some(epochs), _) => {
            let (epoch, left) = (at.epoch - epochs, at.epochs.saturating_sub(epochs));
            learning_rate(schedule, base, Position { epoch, epochs: left, ..at })
        }
        (None, Some(steps)) => {
            learning_rate(schedule, base, at) * factor(at.step.min(steps), steps)
        }
        (None, None) => learning_rate(schedule, base, at),
    }
}

/// The momentum of the next step, where the schedule cycles it.
pub fn momentum(schedule: Option<&Schedule>, at: Position) -> Option<f64> {
    match schedule {
        Some(Schedule::OneCycleLR {
            cycle_momentum: true,
            base_momentum,
            max_momentum,
            pct_start,
            ..
        }) => Some(one_cycle(
            *pct_start,
            [*max_momentum, *base_momentum, *max_momentum],
            at,
        )),
        _ => None,
    }
}

/// The learning rate of the next step, where the group's own is `base`.
/// ReduceLROnPlateau's is the base: what it comes to depends on results, see
/// [`crate::plateau`].
pub fn learning_rate(schedule: Option<&Schedule>, base: f64, at: Position) -> f64 {
    let epoch = at.epoch as f64;
    match schedule {
        None | Some(Schedule::ReduceLROnPlateau(_)) => base,
        Some(Schedule::StepLR { step_size, gamma }) => {
            base * gamma.powf((at.epoch / step_size) as f64)
        }
        Some(Schedule::MultiStepLR { milestones, gamma }) => {
            base * gamma
                .powf(milestones.iter().filter(|&&m| m <= at.epoch).count() as f64)
        }
        Some(Schedule::ExponentialLR { gamma }) => base * gamma.powf(epoch),
        Some(Schedule::CosineAnnealingLR { t_max, eta_min }) => {
            let t_max = t_max.unwrap_or(at.epochs).max(1) as f64;
            eta_min + (base - eta_min) * (1.0 + (PI * epoch / t_max).cos()) / 2.0
        }
        Some(Schedule::CosineAnnealingWarmRestarts { t_0, t_mult, eta_min }) => {
            // I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
            // Restarts", 2017.
            let (mut since, mut length) = (at.epoch, (*t_0).max(1));
            while since >= length {
                since -= length;
                length = length.saturating_mul(*t_mult);
            }
            eta_min
                + (base - eta_min) * (1.0 + (PI * since as f64 / length as f64).cos())
                    / 2.0
        }
        Some(Schedule::PolynomialLR { total_iters, power }) => {
            let total = total_iters.unwrap_or(at.epochs).max(1) as f64;
            base * (1.0 - epoch.min(total) / total).powf(*power)
        }
        Some(Schedule::OneCycleLR {
            max_lr,
            pct_start,
            div_factor,
            final_div_factor,
            ..
        }) => {
            let initial = max_lr / div_factor;
            one_cycle(*pct_start, [initial, *max_lr, initial / final_div_factor], at)
        }
    }
}

/// L. Smith, N. Topin, "Super-Convergence", 2018, with the two phases of PyTorch's
/// OneCycleLR.
fn one_cycle(pct_start: f64, [first, middle, last]: [f64; 3], at: Position) -> f64 {
    let end = (at.steps.max(1) - 1) as f64;
    let peak = pct_start * at.steps as f64 - 1.0;
    let step = at.step as f64;
    if step <= peak {
        anneal(first, middle, if peak > 0.0 { step / peak } else { 1.0 })
    } else {
        anneal(middle, last, ((step - peak) / (end - peak)).min(1.0))
    }
}

/// Half a cosine wave from `from` to `to`, for `part` from 0 to 1.
fn anneal(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (PI * part).cos())
}
