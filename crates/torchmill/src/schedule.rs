//! `[train.schedule]`: learning-rate schedules, with the names, arguments and defaults of
//! torch.optim.lr_scheduler. Each is a file in `schedule/` and a line in the list below.

mod warmup;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;
use crate::recipe::{ReadType, Train, Typed};

pub use reduce_lr_on_plateau::{PlateauState, ReduceLROnPlateau};
pub use warmup::Warmup;

/// Declares each schedule's file and adds it to the table of schedules. `cargo fmt` does
/// not see these files, `make fmt` does.
macro_rules! schedules {
    ($($file:ident :: $schedule:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every schedule, by name.
        const SCHEDULES: &[ScheduleType] =
            &[$(row::<$file::$schedule>(stringify!($schedule))),*];
    };
}

schedules! {
    step_lr::StepLR,
    multi_step_lr::MultiStepLR,
    exponential_lr::ExponentialLR,
    linear_lr::LinearLR,
    cosine_annealing_lr::CosineAnnealingLR,
    cosine_annealing_warm_restarts::CosineAnnealingWarmRestarts,
    polynomial_lr::PolynomialLR,
    reduce_lr_on_plateau::ReduceLROnPlateau,
    one_cycle_lr::OneCycleLR,
}

/// A schedule with its arguments.
pub trait Schedule: fmt::Debug {
    /// Rejects arguments out of range with a usage error.
    fn check(&self) -> Result<()>;

    /// The learning rate of the step at this position, for a parameter group whose own
    /// learning rate is `base`.
    fn rate(&self, base: f64, at: Position) -> f64;

    /// The momentum of the step at this position; `None` if the schedule does not change
    /// it.
    fn momentum(&self, _at: Position) -> Option<f64> {
        None
    }

    /// Why `[train] warmup` cannot be used with this schedule; `None` if it can.
    fn refuses(&self, _warmup: &Warmup) -> Option<&'static str> {
        None
    }

    /// The argument that `--lr` sets in addition to the optimizer's learning rate.
    fn lr_argument(&self) -> Option<&'static str> {
        None
    }

    /// ReduceLROnPlateau, the one schedule that depends on results: see [`PlateauState`].
    fn plateau(&self) -> Option<&ReduceLROnPlateau> {
        None
    }
}

/// The progress of a run, in the units that schedules count in.
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

/// A row of the table of schedules.
struct ScheduleType {
    name: &'static str,
    read: ReadType<dyn Schedule>,
}

const fn row<S>(name: &'static str) -> ScheduleType
where
    S: Schedule + Serialize + DeserializeOwned + 'static,
{
    ScheduleType {
        name,
        read: |typed| {
            let (schedule, resolved) = typed.read::<S>(TABLE)?;
            Ok((Box::new(schedule), resolved))
        },
    }
}

/// The recipe's table.
const TABLE: &str = "train.schedule";

/// Reads and checks a schedule. Also returns the recipe's table with all defaults written
/// out.
pub fn read(typed: &Typed) -> Result<(Box<dyn Schedule>, Typed)> {
    let Some(found) = SCHEDULES.iter().find(|s| s.name == typed.name) else {
        return Err(typed.unknown(TABLE, SCHEDULES.iter().map(|s| s.name)));
    };
    let (schedule, resolved) = (found.read)(typed)?;
    schedule.check()?;
    Ok((schedule, resolved))
}

/// The learning rate of `[train]`: the schedule and the warm-up.
#[derive(Debug, Default)]
pub struct LearningRate {
    schedule: Option<Box<dyn Schedule>>,
    warmup: Option<Warmup>,
}

impl LearningRate {
    /// Reads and checks both.
    pub fn new(train: &Train) -> Result<Self> {
        let schedule = match &train.schedule {
            Some(typed) => Some(read(typed)?.0),
            None => None,
        };
        if let Some(warmup) = &train.warmup {
            warmup.check(schedule.as_deref())?;
        }
        Ok(Self { schedule, warmup: train.warmup })
    }

    /// The learning rate of the step at this position, for a parameter group whose own
    /// learning rate is `base`.
    ///
    /// A warm-up in epochs works like SequentialLR: LinearLR first, then the schedule
    /// from its start. One in steps works like ChainedScheduler: the schedule's rate
    /// times LinearLR's factor.
    pub fn rate(&self, base: f64, at: Position) -> f64 {
        match self.warmup {
            Some(Warmup { epochs: Some(epochs), start_factor, .. }) => {
                if at.epoch < epochs {
                    return base * warmup::factor(start_factor, at.epoch, epochs);
                }
                let epoch = at.epoch - epochs;
                let epochs = at.epochs.saturating_sub(epochs);
                self.scheduled(base, Position { epoch, epochs, ..at })
            }
            Some(Warmup { steps: Some(steps), start_factor, .. }) => {
                let factor = warmup::factor(start_factor, at.step.min(steps), steps);
                self.scheduled(base, at) * factor
            }
            _ => self.scheduled(base, at),
        }
    }

    fn scheduled(&self, base: f64, at: Position) -> f64 {
        match &self.schedule {
            Some(schedule) => schedule.rate(base, at),
            None => base,
        }
    }

    /// The momentum of the step at this position; `None` if the schedule does not change
    /// it.
    pub fn momentum(&self, at: Position) -> Option<f64> {
        self.schedule.as_ref().and_then(|schedule| schedule.momentum(at))
    }

    /// ReduceLROnPlateau's arguments, if that is the schedule.
    pub fn plateau(&self) -> Option<&ReduceLROnPlateau> {
        self.schedule.as_ref().and_then(|schedule| schedule.plateau())
    }
}

/// Replaces the schedule's own learning rate, if it has one, as `--lr` does.
pub fn set_lr(typed: &mut Typed, lr: f64) -> Result<()> {
    if let Some(key) = read(typed)?.0.lr_argument() {
        typed.set(key, lr);
    }
    Ok(())
}

/// Half a cosine wave from `from` to `to`, for `part` from 0 to 1.
fn anneal(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * part).cos())
}
