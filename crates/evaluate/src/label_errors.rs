//! Finds images whose label is likely wrong, with confident learning: Northcutt, Jiang
//! and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels.

use crate::collector::Example;

/// Collects the data for confident learning.
#[derive(Debug, Clone)]
pub struct LabelErrors {
    /// For each class, the sum of its probability over the images with that label.
    sums: Vec<f64>,
    /// For each class, the number of images with that label.
    counts: Vec<u64>,
    /// The images predicted incorrectly, with all probabilities. Others are unlikely to
    /// have a wrong label.
    mistakes: Vec<(Example, Vec<f32>)>,
}

/// An image whose label is likely wrong.
#[derive(Debug, Clone)]
pub struct LabelError {
    /// The image and its label.
    pub example: Example,
    /// The class that is more likely.
    pub suggested: usize,
    /// The probability of the label minus the highest probability. The lower it is, the
    /// more likely the label is wrong.
    pub margin: f32,
}

impl LabelErrors {
    /// Creates a collector for this number of classes.
    pub fn new(classes: usize) -> Self {
        Self { sums: vec![0.0; classes], counts: vec![0; classes], mistakes: Vec::new() }
    }

    /// Adds an image. Images with a probability that is NaN are ignored.
    pub fn push(&mut self, example: &Example, probabilities: &[f32]) {
        if probabilities.iter().any(|p| p.is_nan()) {
            return;
        }
        self.sums[example.label] += f64::from(probabilities[example.label]);
        self.counts[example.label] += 1;
        if example.prediction != example.label {
            self.mistakes.push((example.clone(), probabilities.to_vec()));
        }
    }

    /// The images whose label is likely wrong, the most likely first. These are the
    /// images off the diagonal of the confident joint.
    ///
    /// A class's threshold is the mean of its probability over the images with that
    /// label. An image counts as the most probable class that reaches its threshold.
    pub fn find(&self) -> Vec<LabelError> {
        let thresholds = self.thresholds();
        let mut found = Vec::new();
        for (example, probabilities) in &self.mistakes {
            let Some(suggested) = counted_as(probabilities, &thresholds) else {
                continue;
            };
            if suggested != example.label {
                let label = probabilities[example.label];
                let margin = label - probabilities[example.prediction];
                found.push(LabelError { example: example.clone(), suggested, margin });
            }
        }
        found.sort_by(|a, b| a.margin.total_cmp(&b.margin));
        found
    }

    /// The threshold of each class. Infinite for a class without images.
    fn thresholds(&self) -> Vec<f64> {
        let mut thresholds = Vec::new();
        for (&sum, &count) in self.sums.iter().zip(&self.counts) {
            let has_images = count > 0;
            thresholds.push(if has_images { sum / count as f64 } else { f64::INFINITY });
        }
        thresholds
    }
}

/// The most probable class that reaches its threshold. Of equal ones, the first.
fn counted_as(probabilities: &[f32], thresholds: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (class, &probability) in probabilities.iter().enumerate() {
        let is_confident = f64::from(probability) >= thresholds[class];
        let is_higher = best.is_none_or(|best| probability > probabilities[best]);
        if is_confident && is_higher {
            best = Some(class);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use torchmill::metric::argmax;

    use super::*;

    /// The images and their order are cleanlab's (see golden/label_errors.py).
    #[test]
    fn likely_wrong_labels_are_cleanlabs() {
        let golden = include_str!("golden/label_errors.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let labels: Vec<usize> =
            serde_json::from_value(golden["labels"].clone()).unwrap();
        let rows: Vec<Vec<f32>> =
            serde_json::from_value(golden["probabilities"].clone()).unwrap();
        let mut errors = LabelErrors::new(rows[0].len());
        for (index, (&label, row)) in labels.iter().zip(&rows).enumerate() {
            let prediction = argmax(row);
            let confidence = row[prediction];
            let source = String::new();
            errors.push(&Example { index, source, label, prediction, confidence }, row);
        }
        let found: Vec<usize> =
            errors.find().iter().map(|error| error.example.index).collect();
        assert!(found.len() > 10);
        assert_eq!(serde_json::json!(found), golden["issues"]);
    }

    #[test]
    fn nan_and_classes_without_images_give_none() {
        let mut errors = LabelErrors::new(3);
        let example = |label, prediction| Example {
            index: 0,
            source: String::new(),
            label,
            prediction,
            confidence: 1.0,
        };
        errors.push(&example(0, 1), &[f32::NAN; 3]);
        errors.push(&example(0, 2), &[0.1, 0.1, 0.8]);
        assert!(errors.find().is_empty());
    }
}
