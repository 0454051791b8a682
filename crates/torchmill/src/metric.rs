//! What an evaluation measures. Each metric is a file in `metric/` and a row of
//! [`METRICS`]; the tags of metrics.csv, the metrics that `best` and early stopping can
//! use, and the columns of `train`'s table and of `evaluate --compare` follow from the
//! table.

use serde::{Deserialize, Serialize};

/// Declares the modules of the metrics and the table of them. `cargo fmt` does not see
/// these files, `make fmt` does.
macro_rules! metrics {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// Every metric, in the order in which metrics.csv has them.
        pub const METRICS: &[MetricType] = &[$($module::TYPE),*];
    };
}

metrics![total_loss, accuracy, mean_loss, macro_f1, calibration_error];

pub use calibration_error::{BINS, Bin, Calibration};
pub use macro_f1::f1;

/// The metric that runs are ranked by and that `best` goes by unless another is chosen.
pub const DEFAULT: &str = "accuracy";

/// A metric that is computed image by image.
pub trait Metric {
    /// Adds the next image. Images come in the data set's order.
    fn update(&mut self, image: &EvaluatedImage);

    /// The value for all images so far.
    fn compute(&self) -> f64;
}

/// What a metric is called, how it is made and how it is shown.
#[derive(Debug)]
pub struct MetricType {
    /// Its name in metrics.csv, after the split: `accuracy` in `test accuracy`.
    pub name: &'static str,
    /// Which way it gets better.
    pub direction: Direction,
    /// The metric that runs are compared by instead of this one, if its value depends on
    /// more than the network and the images.
    pub ranked_by: Option<&'static str>,
    /// Whether `train` always writes it to metrics.csv. It writes any other metric only if
    /// the recipe names it, for `best` for example.
    pub is_logged: bool,
    /// Formats a value for people. If the metric has a heading, the text must fit in its
    /// column.
    pub format: fn(f64) -> String,
    /// Its name in the plain lines of `train`; `None` if they leave it out.
    pub line: Option<&'static str>,
    /// Its heading in the table that `train` shows on a terminal, after the split's name;
    /// `None` if it has no column. The column is as wide as the heading, and at least 9
    /// characters.
    pub heading: Option<&'static str>,
    /// Creates the metric, before any image, for batches of this many images.
    pub new: fn(batch_size: usize) -> Box<dyn Metric>,
}

impl MetricType {
    /// Its name as a key of JSON or a column of CSV: `mean_loss`.
    pub fn key(&self) -> String {
        self.name.replace(' ', "_")
    }

    /// The metric that runs are compared by: another one if this one depends on more than
    /// the network and the images.
    pub fn ranked(&'static self) -> &'static MetricType {
        self.ranked_by.and_then(named).unwrap_or(self)
    }
}

/// The result of evaluating one image.
#[derive(Debug, Clone, Copy)]
pub struct EvaluatedImage<'a> {
    /// The index of its class.
    pub label: usize,
    /// The network's outputs, one for each class.
    pub outputs: &'a [f32],
    /// The class of the highest output.
    pub prediction: usize,
    /// The class probabilities that follow from the outputs.
    pub probabilities: &'a [f32],
    /// Its loss, times its weight.
    pub loss: f32,
    /// Its weight in a mean of losses; 1 unless the loss function has class weights or
    /// ignores its label.
    pub weight: f32,
}

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Less is better.
    Min,
    /// More is better.
    Max,
}

impl Direction {
    /// Whether `value` is better than `best` by more than `min_delta`. Any number is
    /// better than NaN, and NaN is never better.
    pub fn is_better(self, value: f64, best: f64, min_delta: f64) -> bool {
        if best.is_nan() {
            return !value.is_nan();
        }
        match self {
            Self::Min => value < best - min_delta,
            Self::Max => value > best + min_delta,
        }
    }
}

/// The metric of this name, such as `accuracy`.
pub fn named(name: &str) -> Option<&'static MetricType> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The metric of a tag of metrics.csv, such as `test accuracy`. `None` for tags that no
/// evaluation writes (`x/learning rate`, `train loss`).
pub fn of_tag(tag: &str) -> Option<&'static MetricType> {
    let (split, name) = tag.split_once(' ')?;
    if split == "train" { None } else { named(name) }
}

/// The tag of a metric in metrics.csv: `test accuracy`.
pub fn tag(split: &str, metric: &MetricType) -> String {
    format!("{split} {}", metric.name)
}

/// Which way the values of a tag get better. The tags of an evaluation with several copies
/// of each image, such as `x/test accuracy with flip`, are those of the metric. Any other
/// tag that no evaluation writes counts as a loss if its name ends with `loss`.
pub fn direction_of_tag(tag: &str) -> Direction {
    let tag = tag.strip_prefix("x/").unwrap_or(tag);
    let tag = match tag.split_once(" with ") {
        Some((tag, _)) => tag,
        None => tag,
    };
    match of_tag(tag) {
        Some(metric) => metric.direction,
        None if tag.to_lowercase().ends_with("loss") => Direction::Min,
        None => Direction::Max,
    }
}

/// The index of the largest element, like `torch.argmax` on the CPU: the first of equal
/// ones, and NaN counts as the largest.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &value) in row.iter().enumerate() {
        if row[best].is_nan() {
            break;
        }
        if value > row[best] || value.is_nan() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests;
