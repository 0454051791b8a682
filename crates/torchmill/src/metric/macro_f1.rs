//! scikit-learn's `f1_score(average="macro")`: the mean over the classes of each class's
//! F1 score. A class that is neither a label nor predicted has the score 0.

use super::{Direction, EvaluatedImage, Metric, MetricType};

pub(super) const TYPE: MetricType = MetricType {
    name: "macro F1",
    direction: Direction::Max,
    ranked_by: None,
    is_logged: false,
    format: |f1| format!("{f1:.4}"),
    line: None,
    heading: None,
    new: |_| Box::new(MacroF1 { classes: Vec::new() }),
};

/// The F1 score of a class with `support` images, of which `hits` are predicted as it,
/// where `predicted` images in all are predicted as it. 0 if there are none.
pub fn f1(hits: u64, support: u64, predicted: u64) -> f64 {
    if support + predicted == 0 {
        0.0
    } else {
        (2 * hits) as f64 / (support + predicted) as f64
    }
}

struct MacroF1 {
    classes: Vec<Counts>,
}

#[derive(Clone, Default)]
struct Counts {
    hits: u64,
    support: u64,
    predicted: u64,
}

impl Metric for MacroF1 {
    fn update(&mut self, image: &EvaluatedImage) {
        self.classes.resize(image.outputs.len(), Counts::default());
        self.classes[image.label].support += 1;
        self.classes[image.prediction].predicted += 1;
        if image.prediction == image.label {
            self.classes[image.label].hits += 1;
        }
    }

    fn compute(&self) -> f64 {
        let mut sum = 0.0;
        for class in &self.classes {
            sum += f1(class.hits, class.support, class.predicted);
        }
        sum / self.classes.len().max(1) as f64
    }
}
