//! The figures of single classes: scikit-learn's classification_report and
//! confusion_matrix, and what follows from them; top-k accuracy, and the
//! bins of the calibration error. Metrics that `train` can use, too, are in torchmill's
//! `metric/`.

use std::cmp::Ordering;

use serde::Serialize;
use torchmill::metric::{Calibration, argmax, f1};

/// Counts accumulated over images, and the figures computed from them.
#[derive(Debug, Clone)]
pub struct ClassReport {
    classes: usize,
    /// A matrix of `classes` rows and columns: rows are labels, columns predictions.
    confusion: Vec<u64>,
    /// Entry `r` counts the images with `r` outputs above the label's.
    ranks: Vec<u64>,
    calibration: Calibration,
    /// The number of images with an output that is NaN.
    nan: u64,
}

/// scikit-learn's scores of a class, or their average over classes. A division by zero
/// gives 0, as scikit-learn's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Scores {
    /// The share of images predicted as this class that are of this class.
    pub precision: f64,
    /// The share of images of this class that are predicted as this class.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// The number of images of this class.
    pub support: u64,
}

/// Images of one class that are predicted as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// The class of the images.
    pub label: usize,
    /// The predicted class.
    pub prediction: usize,
    /// The number of images.
    pub count: u64,
}

impl ClassReport {
    /// Creates a report of no images yet.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            confusion: vec![0; classes * classes],
            ranks: vec![0; classes],
            calibration: Calibration::default(),
            nan: 0,
        }
    }

    /// Adds an image with its outputs and the probabilities computed from them.
    pub fn push(&mut self, label: usize, outputs: &[f32], probabilities: &[f32]) {
        let prediction = argmax(outputs);
        self.confusion[label * self.classes + prediction] += 1;
        self.ranks[rank(outputs, label)] += 1;
        if outputs.iter().any(|x| x.is_nan()) {
            self.nan += 1;
        }
        self.calibration.push(probabilities[prediction], prediction == label);
    }

    /// The number of images.
    pub fn count(&self) -> u64 {
        self.ranks.iter().sum()
    }

    /// The number of images predicted correctly.
    pub fn correct(&self) -> u64 {
        (0..self.classes).map(|class| self.confusion(class, class)).sum()
    }

    /// The number of images with an output that is NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    /// The share of images whose label is among the `k` highest outputs.
    pub fn top_k(&self, k: usize) -> f64 {
        share(self.ranks.iter().take(k).sum(), self.count())
    }

    /// The number of images of class `label` that are predicted as class `prediction`.
    pub fn confusion(&self, label: usize, prediction: usize) -> u64 {
        self.confusion[label * self.classes + prediction]
    }

    /// The rows of the confusion matrix. Each row is a label, each column a prediction.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.confusion.chunks_exact(self.classes.max(1))
    }

    /// Each class's scores.
    pub fn scores(&self) -> Vec<Scores> {
        let mut scores = Vec::new();
        for class in 0..self.classes {
            let mut support = 0;
            let mut predicted = 0;
            for other in 0..self.classes {
                support += self.confusion(class, other);
                predicted += self.confusion(other, class);
            }
            let hits = self.confusion(class, class);
            scores.push(Scores {
                precision: share(hits, predicted),
                recall: share(hits, support),
                f1: f1(hits, support, predicted),
                support,
            });
        }
        scores
    }

    /// The unweighted mean over classes.
    pub fn macro_average(&self) -> Scores {
        average(&self.scores(), |_| 1.0)
    }

    /// The mean over classes, weighted by their numbers of images.
    pub fn weighted_average(&self) -> Scores {
        average(&self.scores(), |s| s.support as f64)
    }

    /// The images by their highest probability.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The pairs of classes that are confused, the most frequent first.
    pub fn confused(&self) -> Vec<Confused> {
        let mut pairs = Vec::new();
        for label in 0..self.classes {
            for prediction in 0..self.classes {
                let count = self.confusion(label, prediction);
                if label != prediction && count > 0 {
                    pairs.push(Confused { label, prediction, count });
                }
            }
        }
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        pairs
    }
}

/// Orders two outputs of an image, the higher first. NaN counts as the highest, as in
/// torch.topk. Of equal outputs, the first comes first.
fn higher_first(outputs: &[f32], a: usize, b: usize) -> Ordering {
    let (x, y) = (outputs[a], outputs[b]);
    let by_value = match (x.is_nan(), y.is_nan()) {
        (false, false) => y.partial_cmp(&x).unwrap_or(Ordering::Equal),
        (x_is_nan, y_is_nan) => y_is_nan.cmp(&x_is_nan),
    };
    by_value.then(a.cmp(&b))
}

/// The number of an image's outputs that are above its label's.
fn rank(outputs: &[f32], label: usize) -> usize {
    let above = |&class: &usize| higher_first(outputs, class, label) == Ordering::Less;
    (0..outputs.len()).filter(above).count()
}

/// The classes of an image's outputs, the highest output first.
pub fn ranked_classes(outputs: &[f32]) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..outputs.len()).collect();
    classes.sort_by(|&a, &b| higher_first(outputs, a, b));
    classes
}

/// `part / whole`; 0 if `whole` is 0.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn average(scores: &[Scores], weight: impl Fn(&Scores) -> f64) -> Scores {
    let total: f64 = scores.iter().map(&weight).sum();
    let mean = |of: fn(&Scores) -> f64| {
        let sum: f64 = scores.iter().map(|s| of(s) * weight(s)).sum();
        if total > 0.0 { sum / total } else { 0.0 }
    };
    Scores {
        precision: mean(|s| s.precision),
        recall: mean(|s| s.recall),
        f1: mean(|s| s.f1),
        support: scores.iter().map(|s| s.support).sum(),
    }
}

#[cfg(test)]
mod tests;
