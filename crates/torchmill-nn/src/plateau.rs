//! ReduceLROnPlateau: the one schedule that looks at results, and so has a state to save.

use serde::{Deserialize, Serialize};
use torchmill::recipe::{Plateau as Settings, PlateauMetric, ThresholdMode};

/// How the results have been, and the groups' learning rates that came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    best: Option<f64>,
    bad_epochs: u64,
    cooldown: u64,
    rates: Vec<f64>,
}

impl Plateau {
    /// Before any result, with each group's own learning rate.
    pub fn new(rates: Vec<f64>) -> Self {
        Self { best: None, bad_epochs: 0, cooldown: 0, rates }
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
