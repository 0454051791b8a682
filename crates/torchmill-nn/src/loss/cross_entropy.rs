//! `torch.nn.CrossEntropyLoss`: `-log softmax(outputs)[label]`.

use serde::{Deserialize, Serialize};
use tch::{Reduction, TchError, Tensor};
use torchmill::Result;
use torchmill::recipe::refuse;

use super::class_weights::ClassWeights;
use super::{Loss, is_no_label, label_weights, no_label, softmax};

/// torch.nn.CrossEntropyLoss' arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CrossEntropyLoss {
    /// A weight for each class. The batch's mean is the weighted mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<ClassWeights>,
    /// Images with this label are ignored.
    #[serde(default = "no_label", skip_serializing_if = "is_no_label")]
    ignore_index: i64,
    /// The share of the target that is spread evenly over all classes, from 0 to 1.
    #[serde(default)]
    label_smoothing: f64,
}

impl Loss for CrossEntropyLoss {
    fn compute(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor, TchError> {
        outputs.f_cross_entropy_loss(
            targets,
            self.weight.as_ref().and_then(ClassWeights::tensor),
            reduction,
            self.ignore_index,
            self.label_smoothing,
        )
    }

    fn probabilities(&self, outputs: &[f32]) -> Vec<f32> {
        softmax(outputs)
    }

    fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return refuse("loss.label_smoothing", "must be from 0 to 1");
        }
        Ok(())
    }

    fn class_weights(&mut self) -> Option<(&'static str, &mut ClassWeights)> {
        self.weight.as_mut().map(|weight| ("weight", weight))
    }

    fn label_weights(&self, labels: &Tensor) -> Result<Option<Tensor>, TchError> {
        label_weights(labels, self.weight.as_ref(), self.ignore_index)
    }

    fn ignores_labels(&self) -> bool {
        self.ignore_index >= 0
    }

    fn activation(&self) -> Option<&'static str> {
        Some("Softmax")
    }

    fn may_weigh_nothing(&self) -> bool {
        let zero = self.weight.as_ref().is_some_and(ClassWeights::has_zero);
        self.ignores_labels() || zero
    }
}
