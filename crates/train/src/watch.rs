//! What a run is judged by: which epoch was the best, and whether it is any use to go on.
//!
//! Both follow from the metrics alone, so a resumed run finds them again in metrics.csv.

use torchmill::metric::{self, METRICS, Mode};
use torchmill::metrics::Point;
use torchmill::recipe::{EarlyStopping, Recipe};
use torchmill::{Error, Result, suggest};

/// The tag of a metric in metrics.csv, and which way it gets better.
struct Criterion {
    tag: String,
    mode: Mode,
}

impl Criterion {
    /// Finds the metric of this tag, such as `test accuracy`; the accuracy where there is
    /// no name. `eval` is the split that is evaluated after each epoch, `test` or `val`.
    fn named(name: Option<&str>, key: &str, eval: &str) -> Result<Self> {
        let Some(name) = name else {
            let tag = format!("{eval} accuracy");
            return Ok(Self { mode: metric::mode_of_tag(&tag), tag });
        };
        let known: Vec<String> =
            METRICS.iter().map(|metric| metric::tag(eval, metric)).collect();
        let Some(found) = METRICS.iter().find(|m| metric::tag(eval, m) == name) else {
            let hint = suggest::did_you_mean(name, known.iter().map(String::as_str));
            return Err(Error::usage(format_args!(
                "{key}: there is no metric `{name}` in this run, only {}{hint}",
                known.join(", ")
            )));
        };
        Ok(Self { tag: name.to_owned(), mode: found.mode })
    }
}

/// Keeps an eye on a run's metrics.
pub struct Watch {
    metric: Criterion,
    best: Option<(f64, u64)>,
    /// All that the metric has been, with the epochs.
    seen: Vec<(f64, u64)>,
    stopping: Option<(EarlyStopping, Criterion)>,
    /// The best value as early stopping counts it, and how many evaluations have been no
    /// better since.
    waiting: Option<(f64, u64)>,
}

impl Watch {
    /// Watches the metrics that the recipe names.
    pub fn new(recipe: &Recipe, eval: &str) -> Result<Self> {
        let best = recipe.checkpoints.best.as_deref();
        let metric = Criterion::named(best, "best", eval)?;
        let stopping = recipe.train.early_stopping.clone().map(|settings| {
            let name = settings.metric.as_deref().or(best);
            let mut metric = Criterion::named(name, "early_stopping.metric", eval)?;
            metric.mode = settings.mode.unwrap_or(metric.mode);
            Ok::<_, Error>((settings, metric))
        });
        Ok(Self {
            metric,
            best: None,
            seen: Vec::new(),
            stopping: stopping.transpose()?,
            waiting: None,
        })
    }

    /// Takes note of a point of metrics.csv, which need not be one that counts.
    pub fn see(&mut self, point: &Point) {
        if point.tag == self.metric.tag {
            self.seen.push((point.value, point.epoch));
            self.take_if_best(point.value, point.epoch);
        }
        if let Some((settings, metric)) = &self.stopping
            && point.tag == metric.tag
        {
            self.waiting = match self.waiting {
                Some((best, since))
                    if !metric.mode.is_better(point.value, best, settings.min_delta) =>
                {
                    Some((best, since + 1))
                }
                _ => Some((point.value, 0)),
            };
        }
    }

    fn take_if_best(&mut self, value: f64, epoch: u64) {
        if self.best.is_none_or(|(best, _)| self.metric.mode.is_better(value, best, 0.0))
        {
            self.best = Some((value, epoch));
        }
    }

    /// Goes by the epochs alone whose checkpoints are there: those of others, that were
    /// the best by another metric or in another folder, cannot be pointed at.
    pub fn best_of(&mut self, is_there: impl Fn(u64) -> bool) {
        self.best = None;
        for (value, epoch) in self.seen.clone() {
            if is_there(epoch) {
                self.take_if_best(value, epoch);
            }
        }
    }

    /// The metric that `best` goes by.
    pub fn metric(&self) -> &str {
        &self.metric.tag
    }

    /// The best value so far, with its epoch.
    pub fn best(&self) -> Option<(f64, u64)> {
        self.best
    }

    /// Why it is no use to go on, once it is none.
    pub fn no_use(&self) -> Option<String> {
        let ((settings, metric), (best, since)) =
            (self.stopping.as_ref()?, self.waiting?);
        (since >= settings.patience).then(|| {
            format!(
                "{} has not been better than {best} for {since} evaluations",
                metric.tag
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use torchmill::recipe;

    use super::*;

    fn watch(settings: &[&str]) -> Result<Watch> {
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
        Watch::new(&recipe::load("article").unwrap().with(&settings).unwrap(), "val")
    }

    fn see(watch: &mut Watch, tag: &str, values: &[f64]) {
        for (&value, epoch) in values.iter().zip(1..) {
            watch.see(&Point {
                wall_time: 0.0,
                step: epoch,
                epoch,
                tag: tag.to_owned(),
                value,
            });
        }
    }

    #[test]
    fn the_best_is_the_first_of_the_best() {
        let mut accuracy = watch(&[]).unwrap();
        see(&mut accuracy, "val accuracy", &[0.5, 0.7, 0.7, 0.6]);
        see(&mut accuracy, "val loss", &[900.0]);
        assert_eq!((accuracy.best(), accuracy.no_use()), (Some((0.7, 2)), None));
        let mut loss = watch(&["checkpoints.best=val mean loss"]).unwrap();
        see(&mut loss, "val mean loss", &[3.0, 2.0, 2.5]);
        assert_eq!(loss.best(), Some((2.0, 2)));
        loss.best_of(|epoch| epoch != 2);
        assert_eq!((loss.best(), loss.metric()), (Some((2.5, 3)), "val mean loss"));
        see(&mut loss, "val mean loss", &[2.4]);
        assert_eq!(loss.best(), Some((2.4, 1)));
        loss.best_of(|_| false);
        assert_eq!(loss.best(), None);
    }

    #[test]
    fn patience_ends_after_so_many_that_are_no_better() {
        // Lightning's rule: the counter starts again at each improvement by more than
        // min_delta.
        let settings =
            ["train.early_stopping={metric=\"val loss\", patience=2, min_delta=0.1}"];
        let mut stopping = watch(&settings).unwrap();
        see(&mut stopping, "val loss", &[1.0, 0.95, 0.85, 0.80]);
        assert_eq!(stopping.no_use(), None);
        see(&mut stopping, "val loss", &[0.76]);
        let why = stopping.no_use().unwrap();
        assert_eq!(why, "val loss has not been better than 0.85 for 2 evaluations");
        see(&mut stopping, "val accuracy", &[0.1]);
        assert!(stopping.no_use().is_some());
    }

    #[test]
    fn unknown_metrics_are_named_with_the_known_ones() {
        let error = watch(&["checkpoints.best=val acuracy"]).err().unwrap().to_string();
        assert!(error.ends_with("(did you mean val accuracy?)"), "{error}");
        let error = watch(&["checkpoints.best=test accuracy"]).err().unwrap();
        assert_eq!(error.exit_status(), 2);
    }
}
