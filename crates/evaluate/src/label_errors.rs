//! Images whose label is likely wrong, by confident learning: Northcutt, Jiang and Chuang
//! 2021, Confident Learning: Estimating Uncertainty in Dataset Labels.

use crate::collector::Example;

/// Collects what confident learning needs of each image.
#[derive(Debug, Clone)]
pub struct LabelErrors {
    /// For each class: the sum of its probability over the images labelled so.
    sums: Vec<f64>,
    /// For each class: how many these are.
    counts: Vec<u64>,
    /// The images whose prediction is not their label, with all probabilities. Others are
    /// not likely to be labelled wrong.
    mistakes: Vec<(Example, Vec<f32>)>,
}

/// An image whose label is likely wrong.
#[derive(Debug, Clone)]
pub struct LabelError {
    /// The image with its label.
    pub example: Example,
    /// The class that it more likely is of.
    pub suggested: usize,
    /// The probability of its label minus the highest one: the lower, the more likely it
    /// is that the label is wrong.
    pub margin: f32,
}

impl LabelErrors {
    /// Nothing collected yet.
    pub fn new(classes: usize) -> Self {
        Self { sums: vec![0.0; classes], counts: vec![0; classes], mistakes: Vec::new() }
    }

    /// Takes in the next image. Images with a probability that is NaN are left out.
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

    /// The images whose label is likely wrong, the most likely first: those that would be
    /// off the diagonal of the confident joint.
    ///
    /// A class's threshold is the mean of its probability over the images labelled so. An
    /// image is counted as the most probable of the classes whose threshold it reaches.
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

    /// Infinite for a class without images.
    fn thresholds(&self) -> Vec<f64> {
        let mut thresholds = Vec::new();
        for (&sum, &count) in self.sums.iter().zip(&self.counts) {
            let has_images = count > 0;
            thresholds.push(if has_images { sum / count as f64 } else { f64::INFINITY });
        }
        thresholds
    }
}

/// The most probable class whose threshold is reached; of equal ones the first.
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

    /// The images and their order are those of cleanlab (see golden/label_errors.py).
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
