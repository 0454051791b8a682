//! `[train.loss]`: loss functions with the names, arguments and defaults of torch.nn,
//! computed by libtorch. Each has a file in `loss/` and a line in the list below.
//!
//! Targets are labels `[N]` (int64), or class probabilities `[N, classes]` (float32) if
//! mixup or cutmix has mixed the labels.

mod class_weights;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Reduction, TchError, Tensor};
use torchmill::Result;
use torchmill::recipe::{ReadType, Typed};

use crate::tensor::number;
use crate::torch_error;
use class_weights::ClassWeights;

/// Declares each loss function's file and adds it to the table of loss functions.
/// `cargo fmt` does not see these files, `make fmt` does.
macro_rules! losses {
    ($($file:ident :: $loss:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every loss function, by name.
        const LOSSES: &[LossType] = &[$(row::<$file::$loss>(stringify!($loss))),*];
    };
}

losses! {
    cross_entropy::CrossEntropyLoss,
    nll::NLLLoss,
    mse::MSELoss,
    l1::L1Loss,
    bce_with_logits::BCEWithLogitsLoss,
}

/// A loss function with its arguments.
pub trait Loss: fmt::Debug + Send {
    /// The loss of outputs `[N, classes]` (float32): the batch's mean (a scalar), or one
    /// value for each image, `[N]`, multiplied by the image's weight.
    fn compute(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor, TchError>;

    /// The class probabilities that one image's outputs stand for.
    fn probabilities(&self, outputs: &[f32]) -> Vec<f32>;

    /// Fails with a usage error if an argument is out of range. Class weights are checked
    /// elsewhere.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The argument with a number for each class, and its name; `None` if it is not
    /// given.
    fn class_weights(&mut self) -> Option<(&'static str, &mut ClassWeights)> {
        None
    }

    /// The weight of each of the labels `[N]` in the batch's mean, `[N]` float32; `None`
    /// if all weigh the same.
    fn label_weights(&self, _labels: &Tensor) -> Result<Option<Tensor>, TchError> {
        Ok(None)
    }

    /// Whether some images may be left out by their label (`ignore_index`).
    fn ignores_labels(&self) -> bool {
        false
    }

    /// Whether an image may have weight 0 in a batch's mean. A batch of only such images
    /// has no mean.
    fn may_weigh_nothing(&self) -> bool {
        false
    }

    /// The layer that the loss applies to the outputs itself, if these are logits.
    fn activation(&self) -> Option<&'static str> {
        None
    }

    /// Whether the outputs must be log-probabilities.
    fn takes_log_probabilities(&self) -> bool {
        false
    }
}

/// A row of the table of loss functions.
struct LossType {
    name: &'static str,
    read: ReadType<dyn Loss>,
}

const fn row<L>(name: &'static str) -> LossType
where
    L: Loss + Serialize + DeserializeOwned + 'static,
{
    LossType {
        name,
        read: |typed| {
            let (loss, resolved) = typed.read::<L>(TABLE)?;
            Ok((Box::new(loss), resolved))
        },
    }
}

/// The loss's table in the recipe.
const TABLE: &str = "train.loss";

/// Parses and checks a loss function. Also returns its recipe table with all defaults
/// filled in.
pub fn read(typed: &Typed) -> Result<(Box<dyn Loss>, Typed)> {
    let Some(found) = LOSSES.iter().find(|l| l.name == typed.name) else {
        return Err(typed.unknown(TABLE, LOSSES.iter().map(|l| l.name)));
    };
    let (mut loss, resolved) = (found.read)(typed)?;
    loss.check()?;
    if let Some((key, weights)) = loss.class_weights() {
        weights.check(key)?;
    }
    Ok((loss, resolved))
}

/// Builds the loss function for this number of classes, with its class weights on the
/// device. Weights that are still `"balanced"` are an error: see [`balanced`].
pub fn build(typed: &Typed, classes: usize, device: Device) -> Result<Box<dyn Loss>> {
    let (mut loss, _) = read(typed)?;
    if let Some((key, weights)) = loss.class_weights() {
        weights.upload(key, classes, device)?;
    }
    Ok(loss)
}

/// Replaces `"balanced"` by weights computed from `counts`, the number of training images
/// of each class.
pub fn balanced(typed: &Typed, counts: &[(String, u64)]) -> Result<Typed> {
    let (mut loss, mut resolved) = read(typed)?;
    if let Some((key, weights)) = loss.class_weights()
        && let Some(weights) = weights.balanced(counts)
    {
        resolved.set(key, weights);
    }
    Ok(resolved)
}

/// [`Loss::compute`] with libtorch's error as ours.
pub fn compute(
    loss: &dyn Loss,
    outputs: &Tensor,
    targets: &Tensor,
    reduction: Reduction,
) -> Result<Tensor> {
    loss.compute(outputs, targets, reduction).map_err(|e| torch_error(&e))
}

/// The weight of each image in the batch's mean, `[N]` float32; `None` if all weigh the
/// same, as with mixed labels.
pub fn weights(loss: &dyn Loss, targets: &Tensor) -> Result<Option<Tensor>> {
    if is_mixed(targets) {
        return Ok(None);
    }
    loss.label_weights(targets).map_err(|e| torch_error(&e))
}

/// Whether targets are class probabilities.
fn is_mixed(targets: &Tensor) -> bool {
    targets.kind() != Kind::Int64
}

/// Targets as rows `[N, classes]` of the outputs' dtype: labels become one-hot, mixed
/// labels stay.
fn one_hot(targets: &Tensor, outputs: &Tensor) -> Result<Tensor, TchError> {
    if is_mixed(targets) {
        return Ok(targets.shallow_clone());
    }
    let classes = outputs.size().get(1).copied().unwrap_or(1);
    targets.f_one_hot(classes)?.f_to_kind(outputs.kind())
}

/// The mean of each image's row, if `reduction` is none.
fn mean_of_rows(loss: Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
    if reduction == Reduction::None {
        loss.f_mean_dim(1, false, Kind::Float)
    } else {
        Ok(loss)
    }
}

/// `exp(x) / sum(exp(x))` over the outputs of one image.
pub fn softmax(outputs: &[f32]) -> Vec<f32> {
    let max = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = outputs.iter().map(|&x| (x - max).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// PyTorch's default for `ignore_index`, which matches no label.
fn no_label() -> i64 {
    -100
}

fn is_no_label(label: &i64) -> bool {
    *label == no_label()
}

/// The weights of labels `[N]`, from optional class weights and a label to ignore.
fn label_weights(
    labels: &Tensor,
    weight: Option<&ClassWeights>,
    ignore_index: i64,
) -> Result<Option<Tensor>, TchError> {
    if weight.is_none() && ignore_index < 0 {
        return Ok(None);
    }
    let counts =
        labels.f_not_equal_tensor(&number(ignore_index))?.f_to_kind(Kind::Float)?;
    match weight.and_then(ClassWeights::tensor) {
        Some(weight) => Ok(Some(weight.f_index_select(0, labels)?.f_mul(&counts)?)),
        None => Ok(Some(counts)),
    }
}

#[cfg(test)]
mod tests;
