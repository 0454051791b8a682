//! The results as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use torchmill::metric::{BINS, Bin};
use torchmill::recipe::Tta;
use torchmill::{Error, Result};
use torchmill_nn::evaluation::Evaluation;

use crate::class_report::Scores;
use crate::config::Config;
use crate::outcome::Outcome;

/// The results of one checkpoint.
#[derive(Debug, Serialize)]
struct Object<'a> {
    checkpoint: &'a str,
    split: &'a str,
    images: usize,
    /// Test-time augmentation: the copies of each image whose outputs were averaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    tta: Option<&'static str>,
    /// The sum of the batches' mean losses, as in the article.
    total_loss: f64,
    /// The batch size in that sum.
    batch_size: usize,
    mean_loss: f64,
    correct: u64,
    accuracy: f64,
    /// Every other metric, by its key.
    #[serde(flatten)]
    others: BTreeMap<String, f64>,
    /// Keyed by k.
    top_k_accuracy: BTreeMap<usize, f64>,
    macro_average: Scores,
    weighted_average: Scores,
    calibration_error: f64,
    #[serde(flatten)]
    details: Option<Details<'a>>,
}

/// The additional results of `--report`.
#[derive(Debug, Serialize)]
struct Details<'a> {
    classes: Vec<Class<'a>>,
    /// Rows are labels, columns predictions.
    confusion_matrix: Vec<&'a [u64]>,
    calibration_bins: [Bin; BINS],
}

#[derive(Debug, Serialize)]
struct Class<'a> {
    class: &'a str,
    #[serde(flatten)]
    scores: Scores,
}

/// An array with one object per checkpoint.
pub fn json(outcomes: &[Outcome], config: &Config) -> Result<String> {
    let objects: Vec<Object> =
        outcomes.iter().map(|outcome| Object::new(outcome, config)).collect();
    let text = serde_json::to_string_pretty(&objects)
        .map_err(|e| Error::failed(format_args!("cannot write JSON: {e}")))?;
    Ok(text + "\n")
}

impl<'a> Object<'a> {
    fn new(outcome: &'a Outcome, config: &Config) -> Self {
        let evaluation = &outcome.evaluation;
        let report = &outcome.report;
        let mut others = BTreeMap::new();
        for metric in Evaluation::other_metrics() {
            others.insert(metric.key(), evaluation.value(metric));
        }
        let mut top_k_accuracy = BTreeMap::new();
        for k in outcome.top_k(&config.top_k) {
            top_k_accuracy.insert(k, report.top_k(k));
        }
        Self {
            checkpoint: &outcome.checkpoint,
            split: outcome.images.name(),
            images: evaluation.count,
            tta: outcome.tta.map(Tta::name),
            total_loss: evaluation.total_loss(),
            batch_size: outcome.batch_size,
            mean_loss: evaluation.mean_loss(),
            correct: report.correct(),
            accuracy: evaluation.accuracy(),
            others,
            top_k_accuracy,
            macro_average: report.macro_average(),
            weighted_average: report.weighted_average(),
            calibration_error: evaluation.calibration_error(),
            details: config.report.then(|| Details::new(outcome)),
        }
    }
}

impl<'a> Details<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let mut classes = Vec::new();
        for (class, scores) in outcome.classes.iter().zip(outcome.report.scores()) {
            classes.push(Class { class, scores });
        }
        Self {
            classes,
            confusion_matrix: outcome.report.rows().collect(),
            calibration_bins: outcome.report.calibration().bins(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome;

    #[test]
    fn no_metric_has_a_key_of_the_report() {
        let outcome = outcome::example();
        let object = Object {
            checkpoint: "",
            split: "",
            images: 0,
            tta: Some("flip"),
            total_loss: 0.0,
            batch_size: 0,
            mean_loss: 0.0,
            correct: 0,
            accuracy: 0.0,
            others: BTreeMap::new(),
            top_k_accuracy: BTreeMap::new(),
            macro_average: Scores::default(),
            weighted_average: Scores::default(),
            calibration_error: 0.0,
            details: Some(Details::new(&outcome)),
        };
        let object = serde_json::to_value(object).unwrap();
        assert!(object.get("confusion_matrix").is_some());
        for metric in Evaluation::other_metrics() {
            assert_eq!(object.get(metric.key()), None, "{}", metric.name);
        }
    }
}
