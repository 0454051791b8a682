//! Loss functions: torch.nn's, by its own kernels.

use tch::{Kind, Reduction, TchError, Tensor};
use torchmill::Result;
use torchmill::recipe::Loss;

use crate::torch_error;

/// The loss of outputs `[N, classes]` (float32): the batch's mean as PyTorch takes it
/// (float32 scalar), or one for each image `[N]`.
///
/// `targets` are labels `[N]` (int64), or probabilities of the classes `[N, classes]`
/// (float32) where labels have been mixed. To MSELoss and BCEWithLogitsLoss a label is
/// its one-hot row; an image's loss is then its row's mean.
pub fn loss(
    settings: &Loss,
    outputs: &Tensor,
    targets: &Tensor,
    reduction: Reduction,
) -> Result<Tensor> {
    compute(settings, outputs, targets, reduction).map_err(|e| torch_error(&e))
}

fn compute(
    settings: &Loss,
    outputs: &Tensor,
    targets: &Tensor,
    reduction: Reduction,
) -> Result<Tensor, TchError> {
    let weights = |w: &Option<Vec<f64>>| w.as_ref().map(|w| class_weights(w, outputs));
    match settings {
        Loss::CrossEntropyLoss { weight, ignore_index, label_smoothing } => outputs
            .f_cross_entropy_loss(
                targets,
                weights(weight),
                reduction,
                *ignore_index,
                *label_smoothing,
            ),
        Loss::NLLLoss { weight, ignore_index } if targets.kind() == Kind::Int64 => {
            outputs.f_nll_loss(targets, weights(weight), reduction, *ignore_index)
        }
        // As CrossEntropyLoss does for probabilities: the mean is over the images,
        // whatever their weights.
        Loss::NLLLoss { weight, .. } => {
            let products = outputs.f_mul(targets)?;
            let products = match weights(weight) {
                Some(weights) => products.f_mul(&weights)?,
                None => products,
            };
            let each = products.f_sum_dim_intlist(1, false, Kind::Float)?.f_neg()?;
            if reduction == Reduction::None { Ok(each) } else { each.f_mean(Kind::Float) }
        }
        Loss::MSELoss {} => {
            let loss = outputs.f_mse_loss(&rows(targets, outputs)?, reduction)?;
            by_image(loss, reduction)
        }
        Loss::BCEWithLogitsLoss { pos_weight } => {
            let loss = outputs.f_binary_cross_entropy_with_logits(
                &rows(targets, outputs)?,
                None::<Tensor>,
                weights(pos_weight),
                reduction,
            )?;
            by_image(loss, reduction)
        }
    }
}

/// What each image `[N]` weighs in the mean over labels `[N]`; nothing where all weigh
/// the same.
pub fn weights(settings: &Loss, labels: &Tensor) -> Option<Tensor> {
    let (Loss::CrossEntropyLoss { weight, ignore_index, .. }
    | Loss::NLLLoss { weight, ignore_index }) = settings
    else {
        return None;
    };
    if labels.kind() != Kind::Int64 || (weight.is_none() && !settings.ignores()) {
        return None;
    }
    let counts = labels.not_equal(*ignore_index).to_kind(Kind::Float);
    Some(match weight {
        Some(w) => class_weights(w, &counts).index_select(0, labels) * counts,
        None => counts,
    })
}

/// Labels as one-hot rows, `[N, classes]` float32, as `outputs` are; mixed ones are rows
/// already.
pub fn rows(targets: &Tensor, outputs: &Tensor) -> Result<Tensor, TchError> {
    if targets.kind() != Kind::Int64 {
        return Ok(targets.shallow_clone());
    }
    let classes = outputs.size().get(1).copied().unwrap_or(1);
    targets.f_one_hot(classes)?.f_to_kind(outputs.kind())
}

fn by_image(loss: Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
    if reduction == Reduction::None {
        loss.f_mean_dim(1, false, Kind::Float)
    } else {
        Ok(loss)
    }
}

fn class_weights(weights: &[f64], like: &Tensor) -> Tensor {
    Tensor::from_slice(weights).to_kind(Kind::Float).to_device(like.device())
}
