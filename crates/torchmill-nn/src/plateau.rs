//! ReduceLROnPlateau: the one schedule that looks at results, and so has a state to save.

use serde::{Deserialize, Serialize};
use torchmill::recipe::{Plateau as Settings, PlateauMetric, ThresholdMode};
use torchmill::{Error, Result};

/// How the results have been, and the groups' learning rates that came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    best: Option<f64>,
    bad_epochs: u64,
    cooldown: u64,
    rates: Vec<f64>,
    /// What the rates came from.
    own: Vec<f64>,
}

impl Plateau {
    /// Before any result, with each group's own learning rate.
    pub fn new(rates: Vec<f64>) -> Self {
        Self { best: None, bad_epochs: 0, cooldown: 0, own: rates.clone(), rates }
    }

    /// Goes on from a saved one. Where a group's own learning rate is another now, the
    /// one that it has come to is scaled by as much.
    pub fn restore(&mut self, saved: &Self) -> Result<()> {
        if saved.rates.len() != self.own.len() || saved.own.len() != self.own.len() {
            return Err(Error::usage(format_args!(
                "has ReduceLROnPlateau's learning rates of {} groups of parameters, and now there are {}: leave [[train.group]] and no_decay as they are in the run's config.toml, or branch off with a new --run and --init",
                saved.rates.len(),
                self.own.len()
            )));
        }
        let scaled = |((&rate, &before), &now): ((&f64, &f64), &f64)| match before {
            _ if before == now => rate,
            0.0 => now,
            _ => rate * (now / before),
        };
        let rates =
            saved.rates.iter().zip(&saved.own).zip(&self.own).map(scaled).collect();
        *self = Self { rates, own: self.own.clone(), ..saved.clone() };
        Ok(())
    }

    /// Each group's learning rate now.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// `scheduler.step(metric)`: takes in what an evaluation found.
    pub fn step(&mut self, settings: &Settings, mean_loss: f64, accuracy: f64) {
        let value = match settings.metric {
            PlateauMetric::Loss => mean_loss,
            PlateauMetric::Accuracy => accuracy,
        };
        if self.best.is_none_or(|best| is_better(settings, value, best)) {
            (self.best, self.bad_epochs) = (Some(value), 0);
        } else {
            self.bad_epochs += 1;
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs > settings.patience {
            for rate in &mut self.rates {
                let new = (*rate * settings.factor).max(settings.min_lr);
                if *rate - new > settings.eps {
                    *rate = new;
                }
            }
            (self.cooldown, self.bad_epochs) = (settings.cooldown, 0);
        }
    }
}

fn is_better(settings: &Settings, value: f64, best: f64) -> bool {
    let margin = settings.threshold;
    match (settings.metric, settings.threshold_mode) {
        (PlateauMetric::Loss, ThresholdMode::Rel) => value < best * (1.0 - margin),
        (PlateauMetric::Loss, ThresholdMode::Abs) => value < best - margin,
        (PlateauMetric::Accuracy, ThresholdMode::Rel) => value > best * (1.0 + margin),
        (PlateauMetric::Accuracy, ThresholdMode::Abs) => value > best + margin,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn another_learning_rate_scales_what_it_has_come_to() {
        let settings = Settings { patience: 0, ..Settings::default() };
        let mut saved = Plateau::new(vec![0.1, 0.03, 0.0]);
        saved.step(&settings, 1.0, 0.0);
        saved.step(&settings, 1.0, 0.0);
        let reached = saved.rates().to_vec();
        assert!(reached[0] < 0.011, "{reached:?}");
        let resumed = |own: &[f64]| {
            let mut plateau = Plateau::new(own.to_vec());
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
