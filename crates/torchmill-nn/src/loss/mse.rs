//! `torch.nn.MSELoss` of the outputs and the one-hot labels: the mean over all elements.

use serde::{Deserialize, Serialize};
use tch::{Reduction, TchError, Tensor};

use super::{Loss, mean_of_rows, one_hot};

/// It has no arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MSELoss {}

impl Loss for MSELoss {
    fn compute(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor, TchError> {
        let loss = outputs.f_mse_loss(&one_hot(targets, outputs)?, reduction)?;
        mean_of_rows(loss, reduction)
    }

    /// The outputs were fitted to zeros and ones.
    fn probabilities(&self, outputs: &[f32]) -> Vec<f32> {
        outputs.iter().map(|x| x.clamp(0.0, 1.0)).collect()
    }
}
