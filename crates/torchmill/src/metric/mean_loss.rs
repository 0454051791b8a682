//! The weighted mean of the images' losses: the loss function's own mean over the whole
//! data set.

use super::{Direction, EvaluatedImage, Metric, MetricType};

pub(super) const TYPE: MetricType = MetricType {
    name: "mean loss",
    direction: Direction::Min,
    ranked_by: None,
    is_logged: true,
    format: |loss| format!("{loss:.4}"),
    line: None,
    heading: Some("loss"),
    new: |_| Box::new(WeightedMean::default()),
};

/// A weighted mean of losses.
#[derive(Default)]
pub(super) struct WeightedMean {
    sum: f64,
    weight: f64,
}

impl Metric for WeightedMean {
    fn update(&mut self, image: &EvaluatedImage) {
        self.sum += f64::from(image.loss);
        self.weight += f64::from(image.weight);
    }

    fn compute(&self) -> f64 {
        // If all weights are 0 there is no mean: return 0 rather than NaN, which would
        // look like a diverged run.
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}
