//! Learning-rate schedules: the sequences of torch.optim.lr_scheduler.

use std::f64::consts::PI;

use torchmill::recipe::Schedule;

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

/// The learning rate of the next step, where the optimizer's own is `base`.
pub fn learning_rate(schedule: Option<&Schedule>, base: f64, at: Position) -> f64 {
    let epoch = at.epoch as f64;
    match schedule {
        None => base,
        Some(Schedule::StepLR { step_size, gamma }) => base * gamma.powf((at.epoch / step_size) as f64),
        Some(Schedule::MultiStepLR { milestones, gamma }) => {
            base * gamma.powf(milestones.iter().filter(|&&m| m <= at.epoch).count() as f64)
        }
        Some(Schedule::ExponentialLR { gamma }) => base * gamma.powf(epoch),
        Some(Schedule::CosineAnnealingLR { t_max, eta_min }) => {
            let t_max = t_max.unwrap_or(at.epochs).max(1) as f64;
            eta_min + (base - eta_min) * (1.0 + (PI * epoch / t_max).cos()) / 2.0
        }
        Some(Schedule::OneCycleLR { max_lr, pct_start, div_factor, final_div_factor }) => {
            // L. Smith, N. Topin, "Super-Convergence", 2018, with the phases of PyTorch's OneCycleLR.
            let initial = max_lr / div_factor;
            let last = (at.steps.max(1) - 1) as f64;
            let peak = pct_start * at.steps as f64 - 1.0;
            let step = at.step as f64;
            if step <= peak {
                anneal(initial, *max_lr, if peak > 0.0 { step / peak } else { 1.0 })
            } else {
                anneal(*max_lr, initial / final_div_factor, ((step - peak) / (last - peak)).min(1.0))
            }
        }
    }
}

/// Half a cosine wave from `from` to `to`, for `part` from 0 to 1.
fn anneal(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (PI * part).cos())
}
