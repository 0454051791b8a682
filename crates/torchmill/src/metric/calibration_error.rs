//! The expected calibration error: images are put into bins by their highest probability.
//! The error is the mean over the bins of the difference between the mean highest
//! probability and the share of correct predictions, weighted by the bins' numbers of
//! images (Guo et al. 2017, On Calibration of Modern Neural Networks).

use serde::Serialize;

use super::{Direction, EvaluatedImage, Metric, MetricType};

pub(super) const TYPE: MetricType = MetricType {
    name: "calibration error",
    direction: Direction::Min,
    ranked_by: None,
    is_logged: false,
    format: |error| format!("{error:.4}"),
    line: None,
    heading: None,
    new: |_| Box::new(Calibration::default()),
};

/// The number of bins of the calibration error.
pub const BINS: usize = 15;

/// Images by their highest probability.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    bins: [Sums; BINS],
}

/// The sums for a bin.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: u64,
    correct: u64,
    /// The sum of the highest probabilities.
    confidence: f64,
}

/// The images whose highest probability is in one interval of width `1 / BINS`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bin {
    /// The number of images.
    pub count: u64,
    /// The number of images predicted correctly.
    pub correct: u64,
    /// The mean of their highest probabilities; 0 if there are none.
    pub confidence: f64,
}

impl Calibration {
    /// Adds an image with its highest probability.
    pub fn push(&mut self, confidence: f32, is_correct: bool) {
        let confidence = f64::from(confidence);
        // The bins are (0, 1/15], (1/15, 2/15] and so on. NaN falls into the first.
        let bin = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[bin.clamp(1, BINS) - 1];
        bin.count += 1;
        bin.correct += u64::from(is_correct);
        bin.confidence += confidence;
    }

    /// The calibration error; 0 if there are no images.
    pub fn error(&self) -> f64 {
        let mut sum = 0.0;
        let mut count = 0;
        for bin in &self.bins {
            sum += (bin.correct as f64 - bin.confidence).abs();
            count += bin.count;
        }
        sum / count.max(1) as f64
    }

    /// The bins, from the lowest probability to the highest.
    pub fn bins(&self) -> [Bin; BINS] {
        self.bins.map(|bin| Bin {
            count: bin.count,
            correct: bin.correct,
            confidence: bin.confidence / bin.count.max(1) as f64,
        })
    }
}

impl Metric for Calibration {
    fn update(&mut self, image: &EvaluatedImage) {
        let confidence = image.probabilities[image.prediction];
        self.push(confidence, image.prediction == image.label);
    }

    fn compute(&self) -> f64 {
        self.error()
    }
}
