//! `torch.nn.NLLLoss`: `-outputs[label]`, for a network that ends in LogSoftmax.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use super::class_weights::ClassWeights;
use super::{Loss, is_mixed, is_no_label, label_weights, no_label};

/// torch.nn.NLLLoss' arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NLLLoss {
    /// A weight for each class. The batch's mean is the weighted mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<ClassWeights>,
    /// Images with this label are ignored.
    #[serde(default = "no_label", skip_serializing_if = "is_no_label")]
    ignore_index: i64,
}

impl Loss for NLLLoss {
    fn compute(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor, TchError> {
        let weight = self.weight.as_ref().and_then(ClassWeights::tensor);
        if !is_mixed(targets) {
            return outputs.f_nll_loss(targets, weight, reduction, self.ignore_index);
        }
        // As in CrossEntropyLoss with class probabilities, the mean is over the images
        // and not weighted.
        let mut products = outputs.f_mul(targets)?;
        if let Some(weight) = weight {
            products = products.f_mul(weight)?;
        }
        let each = products.f_sum_dim_intlist(1, false, Kind::Float)?.f_neg()?;
        if reduction == Reduction::None { Ok(each) } else { each.f_mean(Kind::Float) }
    }

    fn probabilities(&self, outputs: &[f32]) -> Vec<f32> {
        outputs.iter().map(|x| x.exp()).collect()
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

    fn may_weigh_nothing(&self) -> bool {
        let zero = self.weight.as_ref().is_some_and(ClassWeights::has_zero);
        self.ignores_labels() || zero
    }

    fn takes_log_probabilities(&self) -> bool {
        true
    }
}
