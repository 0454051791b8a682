//! Tracks the metrics of a run: which epoch is the best, and when to stop early.
//!
//! Both follow from the metrics, so a resumed run recovers them from metrics.csv.

use torchmill::metric::{self, Direction, METRICS, MetricType};
use torchmill::metrics::Point;
use torchmill::recipe::{EarlyStopping, Recipe};
use torchmill::{Error, Result, progress, suggest};

/// A metric, its tag in metrics.csv, and whether higher or lower is better.
struct Criterion {
    metric: &'static MetricType,
    tag: String,
    direction: Direction,
}

impl Criterion {
    /// The metric that the recipe's `key` names, such as `test accuracy`. `split` is the
    /// one evaluated after each epoch, `test` or `val`.
    fn named(name: Option<&str>, key: &str, split: &str) -> Result<Self> {
        let default = format!("{split} {}", metric::DEFAULT);
        let name = name.unwrap_or(&default);
        let found = METRICS.iter().find(|metric| metric::tag(split, metric) == name);
        let Some(found) = found else { return Err(unknown(name, key, split)) };
        // For example the mean loss instead of the total loss.
        let ranked = found.ranked();
        Ok(Self {
            metric: ranked,
            tag: metric::tag(split, ranked),
            direction: ranked.direction,
        })
    }
}

fn unknown(name: &str, key: &str, split: &str) -> Error {
    let known: Vec<String> =
        METRICS.iter().map(|metric| metric::tag(split, metric)).collect();
    let hint = suggest::did_you_mean(name, known.iter().map(String::as_str));
    Error::usage(format_args!(
        "{key}: there is no metric `{name}` in this run, only {}{hint}",
        known.join(", ")
    ))
}

/// A value of the metric and its epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    pub value: f64,
    pub epoch: u64,
}

/// Tracks a run's metrics.
pub struct BestTracker {
    criterion: Criterion,
    best: Option<Best>,
    /// All values of the metric so far.
    seen: Vec<Best>,
    stopping: Option<Stopping>,
}

/// Early stopping, with the counting of Lightning's EarlyStopping.
struct Stopping {
    settings: EarlyStopping,
    criterion: Criterion,
    /// The best value, and the number of evaluations since without improvement.
    best: Option<f64>,
    waited: u64,
}

impl Stopping {
    fn new(settings: &EarlyStopping, best: Option<&str>, split: &str) -> Result<Self> {
        let name = settings.metric.as_deref().or(best);
        let mut criterion = Criterion::named(name, "early_stopping.metric", split)?;
        criterion.direction = settings.mode.unwrap_or(criterion.direction);
        Ok(Self { settings: settings.clone(), criterion, best: None, waited: 0 })
    }

    fn see(&mut self, point: &Point) {
        if point.tag != self.criterion.tag {
            return;
        }
        let is_better = |best| {
            self.criterion.direction.is_better(point.value, best, self.settings.min_delta)
        };
        if self.best.is_none_or(is_better) {
            self.best = Some(point.value);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
    }

    fn should_stop(&self) -> Option<String> {
        let best = self.best?;
        if self.waited < self.settings.patience {
            return None;
        }
        Some(format!(
            "{} has not been better than {best} for {} evaluations",
            self.criterion.tag, self.waited
        ))
    }
}

impl BestTracker {
    /// Tracks the metrics that the recipe names.
    pub fn new(recipe: &Recipe, split: &str) -> Result<Self> {
        let best = recipe.checkpoints.best.as_deref();
        let criterion = Criterion::named(best, "best", split)?;
        if let Some(name) = best
            && criterion.tag != name
        {
            progress::note(format_args!(
                "note: the best epoch is chosen by {}: {name}, the sum over batches, depends on the \
                 batch size",
                criterion.tag
            ));
        }
        let stopping = match &recipe.train.early_stopping {
            Some(settings) => Some(Stopping::new(settings, best, split)?),
            None => None,
        };
        Ok(Self { criterion, best: None, seen: Vec::new(), stopping })
    }

    /// The metric that determines `best` in a recipe.
    pub fn metric_of(recipe: &Recipe, split: &str) -> Result<String> {
        let best = recipe.checkpoints.best.as_deref();
        Ok(Criterion::named(best, "best", split)?.tag)
    }

    /// Takes in a point of metrics.csv, whatever its metric.
    pub fn see(&mut self, point: &Point) {
        if point.tag == self.criterion.tag {
            let value = Best { value: point.value, epoch: point.epoch };
            self.seen.push(value);
            self.keep_better(value);
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.see(point);
        }
    }

    fn keep_better(&mut self, new: Best) {
        let is_better =
            |best: Best| self.criterion.direction.is_better(new.value, best.value, 0.0);
        if self.best.is_none_or(is_better) {
            self.best = Some(new);
        }
    }

    /// Considers only epochs whose checkpoints exist. `best` cannot point at other
    /// epochs: they were the best by another metric, or in another folder.
    pub fn keep_existing(&mut self, exists: impl Fn(u64) -> bool) {
        self.best = None;
        for value in self.seen.clone() {
            if exists(value.epoch) {
                self.keep_better(value);
            }
        }
    }

    /// The metric that determines `best`.
    pub fn metric(&self) -> &str {
        &self.criterion.tag
    }

    /// Whether `best` or early stopping goes by this metric.
    pub fn uses(&self, metric: &MetricType) -> bool {
        let is_best = self.criterion.metric.name == metric.name;
        let stops = |stopping: &Stopping| stopping.criterion.metric.name == metric.name;
        is_best || self.stopping.as_ref().is_some_and(stops)
    }

    /// The best value so far.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Why the run should stop early; `None` if it should continue.
    pub fn should_stop(&self) -> Option<String> {
        self.stopping.as_ref()?.should_stop()
    }
}

#[cfg(test)]
mod tests {
    use torchmill::recipe;

    use super::*;

    fn tracker(settings: &[&str]) -> Result<BestTracker> {
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
        BestTracker::new(
            &recipe::load("article").unwrap().with(&settings).unwrap(),
            "val",
        )
    }

    fn see(tracker: &mut BestTracker, tag: &str, values: &[f64]) {
        for (&value, epoch) in values.iter().zip(1..) {
            tracker.see(&Point {
                wall_time: 0.0,
                step: epoch,
                epoch,
                tag: tag.to_owned(),
                value,
            });
        }
    }

    fn best(value: f64, epoch: u64) -> Option<Best> {
        Some(Best { value, epoch })
    }

    #[test]
    fn the_best_is_the_first_of_the_best() {
        let mut accuracy = tracker(&[]).unwrap();
        see(&mut accuracy, "val accuracy", &[0.5, 0.7, 0.7, 0.6]);
        see(&mut accuracy, "val loss", &[900.0]);
        assert_eq!((accuracy.best(), accuracy.should_stop()), (best(0.7, 2), None));
        let mut loss = tracker(&["checkpoints.best=val mean loss"]).unwrap();
        see(&mut loss, "val mean loss", &[3.0, 2.0, 2.5]);
        assert_eq!(loss.best(), best(2.0, 2));
        loss.keep_existing(|epoch| epoch != 2);
        assert_eq!((loss.best(), loss.metric()), (best(2.5, 3), "val mean loss"));
        see(&mut loss, "val mean loss", &[2.4]);
        assert_eq!(loss.best(), best(2.4, 1));
        loss.keep_existing(|_| false);
        assert_eq!(loss.best(), None);
    }

    #[test]
    fn a_loss_that_depends_on_the_batch_size_ranks_by_its_mean() {
        // 60 images: with batches of 60 the total is the mean; with batches of 8 it is
        // eight times the mean.
        let mut loss = tracker(&["checkpoints.best=val loss"]).unwrap();
        assert_eq!(loss.metric(), "val mean loss");
        see(&mut loss, "val loss", &[1.03, 4.8]);
        see(&mut loss, "val mean loss", &[1.03, 0.6]);
        assert_eq!(loss.best(), best(0.6, 2));
        let stop = ["train.early_stopping={metric=\"val loss\", patience=1}"];
        let mut stopping = tracker(&stop).unwrap();
        see(&mut stopping, "val loss", &[1.03, 4.8]);
        assert_eq!(stopping.should_stop(), None);
        see(&mut stopping, "val mean loss", &[0.6, 0.7]);
        assert!(stopping.should_stop().unwrap().starts_with("val mean loss has not"));
    }

    #[test]
    fn a_metric_that_begins_with_nan_is_replaced_by_the_first_number() {
        let stop = ["train.early_stopping={metric=\"val accuracy\", patience=2}"];
        let mut tracker = tracker(&stop).unwrap();
        see(&mut tracker, "val accuracy", &[f64::NAN]);
        assert!(tracker.best().unwrap().value.is_nan());
        see(&mut tracker, "val accuracy", &[f64::NAN, 0.1, f64::NAN]);
        assert_eq!((tracker.best(), tracker.should_stop()), (best(0.1, 2), None));
        see(&mut tracker, "val accuracy", &[f64::NAN]);
        let why = tracker.should_stop().unwrap();
        assert_eq!(why, "val accuracy has not been better than 0.1 for 2 evaluations");
    }

    #[test]
    fn only_the_metrics_that_the_recipe_names_are_used() {
        let used = |settings: &[&str]| -> Vec<&str> {
            let tracker = tracker(settings).unwrap();
            let used = METRICS.iter().filter(|metric| tracker.uses(metric));
            used.map(|metric| metric.name).collect()
        };
        assert_eq!(used(&[]), ["accuracy"]);
        let settings = [
            "checkpoints.best=val macro F1",
            "train.early_stopping={metric=\"val loss\", patience=2}",
        ];
        assert_eq!(used(&settings), ["mean loss", "macro F1"]);
    }

    #[test]
    fn patience_ends_after_that_many_evaluations_without_improvement() {
        // Lightning's rule: the counter restarts at each improvement by more than
        // min_delta.
        let settings = ["train.early_stopping={metric=\"val mean loss\", patience=2, \
                         min_delta=0.1}"];
        let mut stopping = tracker(&settings).unwrap();
        see(&mut stopping, "val mean loss", &[1.0, 0.95, 0.85, 0.80]);
        assert_eq!(stopping.should_stop(), None);
        see(&mut stopping, "val mean loss", &[0.76]);
        let why = stopping.should_stop().unwrap();
        assert_eq!(why, "val mean loss has not been better than 0.85 for 2 evaluations");
        see(&mut stopping, "val accuracy", &[0.1]);
        assert!(stopping.should_stop().is_some());
    }

    #[test]
    fn unknown_metrics_are_named_with_the_known_ones() {
        let error = tracker(&["checkpoints.best=val acuracy"]).err().unwrap().to_string();
        assert!(error.ends_with("(did you mean val accuracy?)"), "{error}");
        let error = tracker(&["checkpoints.best=test accuracy"]).err().unwrap();
        assert_eq!(error.exit_status(), 2);
    }
}
