//! The share of images whose label has the highest output, from 0 to 1.

use super::{Direction, EvaluatedImage, Metric, MetricType};

pub(super) const TYPE: MetricType = MetricType {
    name: "accuracy",
    direction: Direction::Max,
    ranked_by: None,
    is_logged: true,
    format: |accuracy| format!("{:.2} %", 100.0 * accuracy),
    line: Some("accuracy"),
    heading: Some("acc."),
    new: |_| Box::new(Accuracy { count: 0, correct: 0 }),
};

struct Accuracy {
    count: u64,
    correct: u64,
}

impl Metric for Accuracy {
    fn update(&mut self, image: &EvaluatedImage) {
        self.count += 1;
        if image.prediction == image.label {
            self.correct += 1;
        }
    }

    fn compute(&self) -> f64 {
        self.correct as f64 / self.count.max(1) as f64
    }
}
