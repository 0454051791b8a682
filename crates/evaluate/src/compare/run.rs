//! One run as its folder tells it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use torchmill::recipe::{Setting, settings};
use torchmill::{Context, Error, metrics};

/// A run's settings and what became of its metrics.
#[derive(Debug, Default)]
pub struct Run {
    /// Its folder, as it was given.
    pub name: String,
    /// From config.toml, by dotted names.
    pub settings: BTreeMap<String, Setting>,
    /// From metrics.csv, by tag.
    pub metrics: BTreeMap<String, Metric>,
    /// Epochs whose end was measured.
    pub done: u64,
    /// Epochs asked for, where that is known.
    pub epochs: Option<u64>,
    /// How its last start ended, where run.jsonl says so.
    pub ended: Option<Ended>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// A metric's best and last value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// The lowest of a loss or an error, the highest of anything else.
    pub best: f64,
    /// The epoch that it was measured in.
    pub best_epoch: u64,
    /// The last value.
    pub last: f64,
}

/// Whether less of a metric is better.
fn lower_is_better(tag: &str) -> bool {
    ["loss", "error"].iter().any(|word| tag.contains(word))
}

/// The better first; what is no number last.
fn by_quality(tag: &str, a: f64, b: f64) -> Ordering {
    let order = if lower_is_better(tag) { a.total_cmp(&b) } else { b.total_cmp(&a) };
    a.is_nan().cmp(&b.is_nan()).then(order)
}

/// How a run's last start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With what was asked for: one that stopped early, or after so many steps, has,
    /// whatever its epochs.
    Done,
    /// With an error: it can be gone on with, but would most likely come to it again.
    Failed,
    /// Before that, or not yet.
    Unfinished,
}

/// What the last line of a run.jsonl tells of the end. `None` where there is no such
/// file, or the line is not whole.
fn ended(path: &Path) -> Option<Ended> {
    let text = std::fs::read_to_string(path).ok()?;
    let line: serde_json::Value = serde_json::from_str(text.lines().last()?).ok()?;
    Some(
        match (
            line.get("event")?.as_str()?,
            line.get("outcome").and_then(|outcome| outcome.as_str()),
        ) {
            ("end", Some("done")) => Ended::Done,
            ("end", Some("interrupted" | "time is up")) => Ended::Unfinished,
            ("end", Some(_)) => Ended::Failed,
            ("end", None) => return None,
            _ => Ended::Unfinished,
        },
    )
}

impl Run {
    /// Whether a folder is a run's.
    pub fn is_at(folder: &Path) -> bool {
        ["config.toml", "metrics.csv", "checkpoints"]
            .iter()
            .any(|name| folder.join(name).exists())
    }

    /// Reads what there is. What cannot be read is told, and is no reason not to compare
    /// the others.
    pub fn read(folder: &Path) -> Self {
        let mut run = Self { name: folder.display().to_string(), ..Self::default() };
        let config = folder.join("config.toml");
        if config.exists() {
            let text = std::fs::read_to_string(&config).doing("read", &config);
            match text.and_then(|text| settings(&text)) {
                Ok(settings) => run.settings = settings,
                Err(e) => run.problem("config.toml", &e),
            }
        }
        // Steps stand in place of epochs.
        if let (Some(Setting::Number(epochs)), None) =
            (run.settings.get("train.epochs"), run.settings.get("train.steps"))
        {
            run.epochs = Some(*epochs as u64);
        }
        run.ended = ended(&folder.join("run.jsonl"));
        let csv = folder.join("metrics.csv");
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

    fn add(&mut self, metrics::Point { tag, value, epoch, .. }: metrics::Point) {
        // Losses of single steps come before their epoch's end.
        if tag != "train loss" {
            self.done = self.done.max(epoch);
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

    /// How far it came: `done`, `unfinished`, `failed`, `empty` where nothing was
    /// measured, `unreadable`.
    pub fn state(&self) -> &'static str {
        let by_epochs = || {
            if self.epochs.is_none_or(|n| self.done >= n) {
                Ended::Done
            } else {
                Ended::Unfinished
            }
        };
        match self.ended.unwrap_or_else(by_epochs) {
            _ if !self.problems.is_empty() => "unreadable",
            Ended::Failed => "failed",
            _ if self.metrics.is_empty() => "empty",
            Ended::Done => "done",
            Ended::Unfinished => "unfinished",
        }
    }

    /// The run whose best is better first, those without this metric last.
    pub fn compare(&self, other: &Self, tag: &str) -> Ordering {
        let best =
            |run: &Self| run.metrics.get(tag).map_or(f64::NAN, |metric| metric.best);
        by_quality(tag, best(self), best(other))
    }
}
