//! What can be said of predictions whose labels are known: scikit-learn's
//! classification_report and confusion_matrix, top-k accuracy, and the calibration error.

use serde::Serialize;
use torchmill_nn::evaluation::argmax;

/// The calibration error's bins.
pub const BINS: usize = 15;

/// Counts that grow image by image.
#[derive(Debug, Clone)]
pub struct Figures {
    classes: usize,
    /// `classes` rows of `classes`: a row is a label, a column a prediction.
    confusion: Vec<u64>,
    /// How often the label came so many places after the highest output.
    ranks: Vec<u64>,
    /// For each bin the images, the right ones, and the sum of the highest probabilities.
    bins: [(u64, u64, f64); BINS],
}

/// Images whose highest probability lies in one stretch of `1 / BINS`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bin {
    /// How many.
    pub count: u64,
    /// How many of them are right.
    pub correct: u64,
    /// The mean of their highest probabilities; 0 where there are none.
    pub confidence: f64,
}

/// scikit-learn's figures for a class, or their average over classes. What would divide
/// by zero is 0, as with scikit-learn's `zero_division`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Of the images predicted to be of this class, the share that are.
    pub precision: f64,
    /// Of the images of this class, the share predicted to be.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// Images of this class.
    pub support: u64,
}

/// Images of one class taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// The class they are of.
    pub label: usize,
    /// The class they were taken for.
    pub prediction: usize,
    /// How many.
    pub count: u64,
}

impl Figures {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            confusion: vec![0; classes * classes],
            ranks: vec![0; classes],
            bins: [(0, 0, 0.0); BINS],
        }
    }

    /// Counts an image by its outputs and the probabilities that they stand for.
    pub fn push(&mut self, label: usize, outputs: &[f32], probabilities: &[f32]) {
        let prediction = argmax(outputs);
        self.confusion[label * self.classes + prediction] += 1;
        // Of equal outputs the first comes first, as in argmax.
        let own = outputs[label];
        let ahead = |(i, &x): (usize, &f32)| {
            x > own || (own.is_nan() && !x.is_nan()) || (x == own && i < label)
        };
        self.ranks[outputs.iter().enumerate().filter(|&pair| ahead(pair)).count()] += 1;
        let confidence = f64::from(probabilities[prediction]);
        // The bins are (0, 1/15], (1/15, 2/15] and so on. NaN falls into the first.
        let bin = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[bin.clamp(1, BINS) - 1];
        bin.0 += 1;
        bin.1 += u64::from(prediction == label);
        bin.2 += confidence;
    }

    /// How many images were counted.
    pub fn count(&self) -> u64 {
        self.ranks.iter().sum()
    }

    /// How many of them were predicted to be of their class.
    pub fn correct(&self) -> u64 {
        (0..self.classes).map(|class| self.confusion(class, class)).sum()
    }

    /// The share of images whose label is among the `k` highest outputs.
    pub fn top_k(&self, k: usize) -> f64 {
        share(self.ranks.iter().take(k).sum(), self.count())
    }

    /// Images of class `label` that were predicted to be of class `prediction`.
    pub fn confusion(&self, label: usize, prediction: usize) -> u64 {
        self.confusion[label * self.classes + prediction]
    }

    /// The confusion matrix's rows: one a label, a column a prediction.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.confusion.chunks_exact(self.classes.max(1))
    }

    /// Each class's scores.
    pub fn scores(&self) -> Vec<Scores> {
        let score = |class| {
            let hits = self.confusion(class, class);
            let support: u64 =
                (0..self.classes).map(|other| self.confusion(class, other)).sum();
            let predicted: u64 =
                (0..self.classes).map(|other| self.confusion(other, class)).sum();
            Scores {
                precision: share(hits, predicted),
                recall: share(hits, support),
                f1: share(2 * hits, support + predicted),
                support,
            }
        };
        (0..self.classes).map(score).collect()
    }

    /// The mean over classes, each counting alike.
    pub fn macro_average(&self) -> Scores {
        average(&self.scores(), |_| 1.0)
    }

    /// The mean over classes, each counting by its images.
    pub fn weighted_average(&self) -> Scores {
        average(&self.scores(), |s| s.support as f64)
    }

    /// The expected calibration error: by how much the highest probability misses the
    /// share that is right, bin by bin, weighted by the bins' images (Guo et al. 2017, On
    /// Calibration of Modern Neural Networks).
    pub fn calibration_error(&self) -> f64 {
        let gaps = self
            .bins
            .iter()
            .map(|(_, correct, confidence)| (*correct as f64 - confidence).abs());
        gaps.sum::<f64>() / self.count().max(1) as f64
    }

    /// The bins of the calibration error.
    pub fn bins(&self) -> [Bin; BINS] {
        self.bins.map(|(count, correct, confidence)| Bin {
            count,
            correct,
            confidence: confidence / count.max(1) as f64,
        })
    }

    /// The classes most often taken for others, the most frequent first.
    pub fn confused(&self) -> Vec<Confused> {
        let pairs = (0..self.classes)
            .flat_map(|label| (0..self.classes).map(move |p| (label, p)));
        let wrong = pairs.filter(|(label, prediction)| label != prediction);
        let counted = wrong.map(|(label, prediction)| Confused {
            label,
            prediction,
            count: self.confusion(label, prediction),
        });
        let mut pairs: Vec<Confused> = counted.filter(|pair| pair.count > 0).collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        pairs
    }
}

/// `part / whole`; 0 where there is nothing.
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
