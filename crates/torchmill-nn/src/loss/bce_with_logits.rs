//! `torch.nn.BCEWithLogitsLoss` of the outputs and the one-hot labels: the mean over all
//! elements.

use serde::{Deserialize, Serialize};
use tch::{Reduction, TchError, Tensor};
use torchmill::Result;
use torchmill::recipe::refuse;

use super::class_weights::ClassWeights;
use super::{Loss, mean_of_rows, one_hot};

/// torch.nn.BCEWithLogitsLoss' arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BCEWithLogitsLoss {
    /// For each class, the weight of its own images relative to the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pos_weight: Option<ClassWeights>,
}

impl Loss for BCEWithLogitsLoss {
    fn compute(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor, TchError> {
        let loss = outputs.f_binary_cross_entropy_with_logits(
            &one_hot(targets, outputs)?,
            None::<&Tensor>,
            self.pos_weight.as_ref().and_then(ClassWeights::tensor),
            reduction,
        )?;
        mean_of_rows(loss, reduction)
    }

    fn check(&self) -> Result<()> {
        if self.pos_weight.as_ref().is_some_and(ClassWeights::is_balanced) {
            return refuse(
                "loss.pos_weight",
                "must be numbers from 0 up, one for each class",
            );
        }
        Ok(())
    }

    /// Each class's probability by itself: they need not add up to 1.
    fn probabilities(&self, outputs: &[f32]) -> Vec<f32> {
        outputs.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect()
    }

    fn activation(&self) -> Option<&'static str> {
        Some("Sigmoid")
    }

    fn class_weights(&mut self) -> Option<(&'static str, &mut ClassWeights)> {
        self.pos_weight.as_mut().map(|weight| ("pos_weight", weight))
    }
}
