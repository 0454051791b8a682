//! The article's total test loss: the sum over batches of the batch's mean loss. It
//! depends on the batch size, so runs are not compared by it.

use super::mean_loss::WeightedMean;
use super::{Direction, EvaluatedImage, Metric, MetricType};

pub(super) const TYPE: MetricType = MetricType {
    name: "loss",
    direction: Direction::Min,
    ranked_by: Some("mean loss"),
    is_logged: true,
    format: |loss| format!("{loss:.4}"),
    line: Some("total loss"),
    heading: None,
    new: |batch_size| Box::new(TotalLoss::new(batch_size)),
};

struct TotalLoss {
    batch_size: usize,
    /// The sum over the complete batches so far.
    total: f64,
    batch: WeightedMean,
    in_batch: usize,
}

impl TotalLoss {
    fn new(batch_size: usize) -> Self {
        let batch = WeightedMean::default();
        Self { batch_size: batch_size.max(1), total: 0.0, batch, in_batch: 0 }
    }
}

impl Metric for TotalLoss {
    fn update(&mut self, image: &EvaluatedImage) {
        self.batch.update(image);
        self.in_batch += 1;
        if self.in_batch == self.batch_size {
            self.total += self.batch.compute();
            self.batch = WeightedMean::default();
            self.in_batch = 0;
        }
    }

    fn compute(&self) -> f64 {
        if self.in_batch == 0 { self.total } else { self.total + self.batch.compute() }
    }
}
