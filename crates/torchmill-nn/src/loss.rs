//! Loss functions: torch.nn's, by its own kernels.

use tch::{Reduction, Tensor};
use torchmill::Result;
use torchmill::recipe::Loss;

use crate::torch_error;

/// The loss of logits `[N, classes]` (float32) for labels `[N]` (int64): the batch's mean, or one for each.
pub fn loss(settings: &Loss, logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let Loss::CrossEntropyLoss { label_smoothing } = settings;
    // -100 is PyTorch's ignore_index; no label of ours is negative.
    let loss = logits.f_cross_entropy_loss(labels, None::<&Tensor>, reduction, -100, *label_smoothing);
    loss.map_err(|e| torch_error(&e))
}
