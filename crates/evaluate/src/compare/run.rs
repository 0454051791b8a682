//! A run, as read from its folder.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use torchmill::metric::{self, Direction};
use torchmill::recipe::{Setting, settings};
use torchmill::run::RunDir;
use torchmill::run::log::{self, Event, Outcome};
use torchmill::{Context, Error, metrics, text_file};

/// A run's settings and metrics.
#[derive(Debug, Default)]
pub struct Run {
    /// The folder as the user gave it.
    pub name: String,
    /// The settings in config.toml, by dotted name.
    pub settings: BTreeMap<String, Setting>,
    /// The metrics in metrics.csv, by tag.
    pub metrics: BTreeMap<String, Metric>,
    /// Each epoch's mean of the values in metrics.csv, by tag.
    pub curves: BTreeMap<String, Vec<EpochMean>>,
    /// The number of epochs that were evaluated at their end.
    pub done: u64,
    /// The number of epochs to do, if known.
    pub epochs: Option<u64>,
    /// How its last start ended, if run.jsonl says so.
    pub ended: Option<Ended>,
    /// Messages about files that could not be read.
    pub problems: Vec<String>,
}

/// A metric's best and last value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// The lowest value of a loss, or the highest of any other metric.
    pub best: f64,
    /// The epoch of the best value.
    pub best_epoch: u64,
    /// The last value.
    pub last: f64,
}

/// The mean of a tag's values in an epoch. An evaluation has one value; the training loss
/// has one for each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochMean {
    /// The epoch.
    pub epoch: u64,
    sum: f64,
    count: u64,
}

impl EpochMean {
    /// The mean.
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Orders better values first and NaN last.
fn by_quality(tag: &str, a: f64, b: f64) -> Ordering {
    let order = match metric::direction_of_tag(tag) {
        Direction::Min => a.total_cmp(&b),
        Direction::Max => b.total_cmp(&a),
    };
    a.is_nan().cmp(&b.is_nan()).then(order)
}

/// How a run's last start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As planned: after its epochs or steps, or with early stopping.
    Done,
    /// With an error. Resuming would most likely fail the same way.
    Failed,
    /// Early, or it is still running.
    Unfinished,
}

/// How a run ended, from the last event in its run.jsonl. `None` if there is no event.
fn ended(run: &RunDir) -> Option<Ended> {
    let last = log::read(&run.log()).ok()?.pop()?;
    let Event::End(end) = last else { return Some(Ended::Unfinished) };
    Some(match end.outcome {
        Outcome::Done => Ended::Done,
        Outcome::TimeIsUp | Outcome::Interrupted => Ended::Unfinished,
        Outcome::Failed(_) => Ended::Failed,
    })
}

impl Run {
    /// Whether a folder is the folder of a run.
    pub fn is_at(folder: &Path) -> bool {
        RunDir::new(folder).is_taken()
    }

    /// Reads the files that exist. A file that cannot be read becomes a problem to
    /// report, and the other runs can still be compared.
    pub fn read(folder: &Path) -> Self {
        let mut run = Self { name: folder.display().to_string(), ..Self::default() };
        let files = RunDir::new(folder);
        let config = files.config();
        if config.exists() {
            let text = text_file::read(&config).doing("read", &config);
            match text.and_then(|text| settings(&text)) {
                Ok(settings) => run.settings = settings,
                Err(e) => run.problem("config.toml", &e),
            }
        }
        // A run limited by steps has no number of epochs.
        if let (Some(Setting::Number(epochs)), None) =
            (run.settings.get("train.epochs"), run.settings.get("train.steps"))
        {
            run.epochs = Some(*epochs as u64);
        }
        run.ended = ended(&files);
        let csv = files.metrics();
        if csv.exists() {
            match metrics::read_growing(&csv) {
                Ok(points) => points.into_iter().for_each(|point| run.add(point)),
                Err(e) => run.problem("metrics.csv", &e),
            }
        }
        run
    }

    fn problem(&mut self, file: &str, error: &Error) {
        self.problems.push(format!("{file} cannot be read: {error}"));
    }

    /// Adds a row of metrics.csv.
    pub fn add(&mut self, metrics::Point { tag, value, epoch, .. }: metrics::Point) {
        // The losses of single steps come before the end of their epoch.
        if tag != "train loss" {
            self.done = self.done.max(epoch);
        }
        let curve = self.curves.entry(tag.clone()).or_default();
        match curve.last_mut() {
            Some(mean) if mean.epoch == epoch => {
                mean.sum += value;
                mean.count += 1;
            }
            _ => curve.push(EpochMean { epoch, sum: value, count: 1 }),
        }
        let new = Metric { best: value, best_epoch: epoch, last: value };
        match self.metrics.get_mut(&tag) {
            None => drop(self.metrics.insert(tag, new)),
            Some(metric) => {
                metric.last = value;
                if by_quality(&tag, value, metric.best) == Ordering::Less {
                    (metric.best, metric.best_epoch) = (value, epoch);
                }
            }
        }
    }

    /// `done`, `unfinished`, `failed`, `empty` if nothing was measured, or `unreadable`.
    /// A run of zero epochs is done, although nothing was measured.
    pub fn state(&self) -> &'static str {
        if !self.problems.is_empty() {
            return "unreadable";
        }
        match self.ended {
            Some(Ended::Done) => "done",
            Some(Ended::Failed) => "failed",
            _ if self.metrics.is_empty() => "empty",
            Some(Ended::Unfinished) => "unfinished",
            None if self.epochs.is_none_or(|epochs| self.done >= epochs) => "done",
            None => "unfinished",
        }
    }

    /// Orders runs by their best value of a metric. Runs without it come last.
    pub fn compare(&self, other: &Self, tag: &str) -> Ordering {
        let best =
            |run: &Self| run.metrics.get(tag).map_or(f64::NAN, |metric| metric.best);
        by_quality(tag, best(self), best(other))
    }
}
