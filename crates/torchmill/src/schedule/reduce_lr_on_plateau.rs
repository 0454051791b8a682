//! `ReduceLROnPlateau`, stepped after each evaluation: the only schedule that depends on
//! results, so its state is saved.

use serde::{Deserialize, Serialize};

use super::{Position, Schedule, Warmup};
use crate::metric::{self, Direction, METRICS, MetricType};
use crate::recipe::refuse;
use crate::{Error, Result, suggest};

/// torch.optim.lr_scheduler.ReduceLROnPlateau's arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReduceLROnPlateau {
    /// The name of the metric to watch. It decides PyTorch's `mode`.
    metric: String,
    factor: f64,
    /// How many evaluations in a row may bring no improvement before a reduction.
    patience: u64,
    threshold: f64,
    threshold_mode: ThresholdMode,
    /// The number of evaluations after a reduction that are not counted.
    cooldown: u64,
    min_lr: f64,
    /// Smaller reductions are not made.
    eps: f64,
}

/// Whether the threshold is relative to the best value or an absolute difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ThresholdMode {
    Rel,
    Abs,
}

impl Default for ReduceLROnPlateau {
    fn default() -> Self {
        Self {
            metric: "loss".to_owned(),
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

impl Schedule for ReduceLROnPlateau {
    fn check(&self) -> Result<()> {
        self.metric()?;
        if !(self.factor > 0.0 && self.factor < 1.0) {
            return refuse("schedule.factor", "must be above 0 and below 1");
        }
        let numbers = [self.threshold, self.min_lr, self.eps];
        if !numbers.iter().all(|x| x.is_finite() && *x >= 0.0) {
            return refuse(
                "schedule",
                "threshold, min_lr and eps must be numbers from 0 up",
            );
        }
        Ok(())
    }

    /// Returns the base, which [`PlateauState`] has already reduced.
    fn rate(&self, base: f64, _at: Position) -> f64 {
        base
    }

    fn refuses(&self, warmup: &Warmup) -> Option<&'static str> {
        warmup.epochs.map(|_| "takes steps, not epochs, with ReduceLROnPlateau")
    }

    fn plateau(&self) -> Option<&ReduceLROnPlateau> {
        Some(self)
    }
}

impl ReduceLROnPlateau {
    /// The metric to watch. The total loss depends on the batch size, so the mean loss
    /// replaces it.
    ///
    /// # Errors
    /// If there is no metric of that name.
    pub fn metric(&self) -> Result<&'static MetricType> {
        match metric::named(&self.metric) {
            Some(metric) => Ok(metric.ranked()),
            None => {
                let known: Vec<&str> = METRICS.iter().map(|m| m.name).collect();
                let hint = suggest::did_you_mean(&self.metric, known.iter().copied());
                Err(Error::usage(format_args!(
                    "[train] schedule.metric = \"{}\" is not a metric: there are \
                     {}{hint}",
                    self.metric,
                    known.join(", ")
                )))
            }
        }
    }

    fn is_better(&self, mode: Direction, value: f64, best: f64) -> bool {
        let target = match (mode, self.threshold_mode) {
            (Direction::Min, ThresholdMode::Rel) => best * (1.0 - self.threshold),
            (Direction::Min, ThresholdMode::Abs) => best - self.threshold,
            (Direction::Max, ThresholdMode::Rel) => best * (1.0 + self.threshold),
            (Direction::Max, ThresholdMode::Abs) => best + self.threshold,
        };
        mode.is_better(value, target, 0.0)
    }
}

/// The state of ReduceLROnPlateau, with the parameter groups' current learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    best: Option<f64>,
    bad_epochs: u64,
    cooldown: u64,
    /// Each group's current learning rate.
    rates: Vec<f64>,
    /// Each group's initial learning rate.
    base_rates: Vec<f64>,
}

impl PlateauState {
    /// The state before any result, with each group's own learning rate.
    pub fn new(rates: Vec<f64>) -> Self {
        Self { best: None, bad_epochs: 0, cooldown: 0, base_rates: rates.clone(), rates }
    }

    /// Continues from a saved state. If a group's own learning rate has been changed
    /// since, its current rate is scaled in proportion.
    pub fn restore(&mut self, saved: &Self) -> Result<()> {
        let groups = self.base_rates.len();
        if saved.rates.len() != groups || saved.base_rates.len() != groups {
            return Err(Error::usage(format_args!(
                "has ReduceLROnPlateau's learning rates of {} groups of parameters, and \
                 now there are {groups}: leave [[train.group]] and no_decay as they are \
                 in the run's config.toml, or branch off with a new --run and --init",
                saved.rates.len(),
            )));
        }
        for (i, &now) in self.base_rates.iter().enumerate() {
            let before = saved.base_rates[i];
            self.rates[i] = if before == now {
                saved.rates[i]
            } else if before == 0.0 {
                now
            } else {
                saved.rates[i] * (now / before)
            };
        }
        self.best = saved.best;
        self.bad_epochs = saved.bad_epochs;
        self.cooldown = saved.cooldown;
        Ok(())
    }

    /// Each group's current learning rate.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// `scheduler.step(value)`, after an evaluation with this value of a metric that
    /// improves in this direction.
    pub fn step(&mut self, settings: &ReduceLROnPlateau, mode: Direction, value: f64) {
        let is_better = match self.best {
            Some(best) => settings.is_better(mode, value, best),
            // PyTorch starts from infinity, and NaN is not better.
            None => !value.is_nan(),
        };
        if is_better {
            self.best = Some(value);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs = self.bad_epochs.saturating_add(1);
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs > settings.patience {
            self.reduce(settings);
            self.cooldown = settings.cooldown;
            self.bad_epochs = 0;
        }
    }

    fn reduce(&mut self, settings: &ReduceLROnPlateau) {
        for rate in &mut self.rates {
            let reduced = (*rate * settings.factor).max(settings.min_lr);
            if *rate - reduced > settings.eps {
                *rate = reduced;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_can_be_looked_at() {
        for metric in METRICS {
            let name = metric.name.to_owned();
            let settings = ReduceLROnPlateau { metric: name, ..Default::default() };
            let found = settings.metric().unwrap();
            assert_eq!(found.direction, metric.direction, "{}", metric.name);
        }
        let default = ReduceLROnPlateau::default();
        assert_eq!(default.metric().unwrap().name, "mean loss");
        let unknown = ReduceLROnPlateau { metric: "acuracy".to_owned(), ..default };
        let error = unknown.check().unwrap_err().to_string();
        let expected = "[train] schedule.metric = \"acuracy\" is not a metric: there are";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.ends_with("(did you mean accuracy?)"), "{error}");
    }

    #[test]
    fn a_number_after_nan_is_an_improvement() {
        let settings = ReduceLROnPlateau { patience: 1, ..ReduceLROnPlateau::default() };
        let mut plateau = PlateauState::new(vec![0.1]);
        for value in [f64::NAN, 2.0, f64::NAN] {
            plateau.step(&settings, Direction::Min, value);
        }
        assert_eq!((plateau.best, plateau.bad_epochs), (Some(2.0), 1));
        assert_eq!(plateau.rates(), [0.1]);
    }

    #[test]
    fn another_learning_rate_scales_what_was_reached() {
        let settings = ReduceLROnPlateau { patience: 0, ..ReduceLROnPlateau::default() };
        let mut saved = PlateauState::new(vec![0.1, 0.03, 0.0]);
        saved.step(&settings, Direction::Min, 1.0);
        saved.step(&settings, Direction::Min, 1.0);
        let reached = saved.rates().to_vec();
        assert!(reached[0] < 0.011, "{reached:?}");
        let resumed = |own: &[f64]| {
            let mut plateau = PlateauState::new(own.to_vec());
            plateau.restore(&saved).map(|()| plateau)
        };
        assert_eq!(resumed(&[0.1, 0.03, 0.0]).unwrap(), saved);
        let doubled = resumed(&[0.2, 0.03, 0.5]).unwrap();
        assert_eq!(doubled.rates(), [reached[0] * 2.0, reached[1], 0.5]);
        assert_eq!(doubled.bad_epochs, saved.bad_epochs);
        assert!(
            resumed(&[0.1])
                .unwrap_err()
                .to_string()
                .contains("of 3 groups of parameters, and now there are 1")
        );
    }
}
