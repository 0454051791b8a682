//! MixUp and CutMix as in torchvision.transforms.v2, on the batch's device.
//!
//! H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; S. Yun et al.,
//! "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
//! Features", 2019. Each image is mixed with the one before it in the batch, the first
//! one with the last. The labels become probabilities in the same proportion.

use rand::RngExt as _;
use rand_distr::{Beta, Distribution as _};
use tch::{Kind, Tensor};
use torchmill::recipe::Train;
use torchmill::transform::{Rng, rng};
use torchmill::{Error, Result};

use crate::tensor::f_scaled;
use crate::torch_error;

/// How a batch is mixed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mix {
    /// Each image times `lam`, plus the other image times `1 - lam`.
    Up { lam: f64 },
    /// This box (left, top, right, bottom) is copied from the other image.
    Cut { area: [i64; 4] },
}

/// Mixes a batch of images `[N, C, H, W]` and labels `[N]` (int64) for this step and
/// process, as the recipe configures. With both mixup and cutmix, each is used for half
/// of the batches. The labels become probabilities `[N, classes]` (float32).
pub fn mix(
    train: &Train,
    (step, rank): (u64, u32),
    images: &Tensor,
    labels: &Tensor,
    classes: i64,
) -> Result<(Tensor, Tensor)> {
    // An epoch number that no image's own transforms use.
    let mut rng = rng(train.seed, u64::MAX - u64::from(rank), step);
    let Some(mix) = draw(train, images.size().as_slice(), &mut rng)? else {
        return Ok((images.shallow_clone(), labels.shallow_clone()));
    };
    let one_hot = labels.f_one_hot(classes).and_then(|t| t.f_to_kind(Kind::Float));
    one_hot.and_then(|labels| apply(mix, images, &labels)).map_err(|e| torch_error(&e))
}

fn draw(train: &Train, shape: &[i64], rng: &mut Rng) -> Result<Option<Mix>> {
    let &[_, _, height, width] = shape else {
        return Err(Error::failed("a batch is not [N, C, H, W]"));
    };
    let (alpha, cut) = match (train.mixup, train.cutmix) {
        (None, None) => return Ok(None),
        (Some(alpha), None) => (alpha, false),
        (None, Some(alpha)) => (alpha, true),
        (Some(up), Some(cut)) => {
            if rng.random::<bool>() {
                (up, false)
            } else {
                (cut, true)
            }
        }
    };
    let beta = Beta::new(alpha, alpha)
        .map_err(|e| Error::usage(format_args!("[train] mixup or cutmix: {e}")))?;
    let lam = beta.sample(rng);
    if !cut {
        return Ok(Some(Mix::Up { lam }));
    }
    let (x, y) = (rng.random_range(0..width), rng.random_range(0..height));
    let r = 0.5 * (1.0 - lam).sqrt();
    let (half_width, half_height) =
        ((r * width as f64) as i64, (r * height as f64) as i64);
    let area = [
        (x - half_width).max(0),
        (y - half_height).max(0),
        (x + half_width).min(width),
        (y + half_height).min(height),
    ];
    Ok(Some(Mix::Cut { area }))
}

fn apply(
    mix: Mix,
    images: &Tensor,
    labels: &Tensor,
) -> Result<(Tensor, Tensor), tch::TchError> {
    let blend = |t: &Tensor, lam: f64| {
        t.f_roll(1, 0)?.f_mul_scalar_(1.0 - lam)?.f_add(&f_scaled(t, lam)?)
    };
    match mix {
        Mix::Up { lam } => Ok((blend(images, lam)?, blend(labels, lam)?)),
        Mix::Cut { area: [left, top, right, bottom] } => {
            let size = images.size();
            let share = (right - left) as f64 * (bottom - top) as f64
                / (size[2] * size[3]) as f64;
            let inside =
                |t: &Tensor| t.f_slice(2, top, bottom, 1)?.f_slice(3, left, right, 1);
            let mut mixed = images.f_empty_like()?;
            mixed.f_copy_(images)?;
            inside(&mixed)?.f_copy_(&inside(&images.f_roll(1, 0)?)?)?;
            Ok((mixed, blend(labels, 1.0 - share)?))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::tensor::floats;
    use tch::Device;

    fn batch() -> (Tensor, Tensor) {
        let values: Vec<f32> = (0..3).flat_map(|i| [i as f32; 2 * 4 * 6]).collect();
        (
            Tensor::from_slice(&values).reshape([3, 2, 4, 6]),
            Tensor::from_slice(&[2_i64, 0, 1]),
        )
    }

    #[test]
    fn mixup_blends_images_and_labels_alike() {
        let (images, labels) = batch();
        let (x, y) = apply(
            Mix::Up { lam: 0.75 },
            &images,
            &labels.one_hot(4).to_kind(Kind::Float),
        )
        .unwrap();
        let first: Vec<f32> =
            (0..3).map(|i| x.double_value(&[i, 0, 0, 0]) as f32).collect();
        assert_eq!(first, [0.5, 0.75, 1.75]);
        assert_eq!(
            floats(&y),
            [0.0, 0.25, 0.75, 0.0, 0.75, 0.0, 0.25, 0.0, 0.25, 0.75, 0.0, 0.0]
        );
    }

    #[test]
    fn cutmix_pastes_a_box_and_weighs_labels_by_its_area() {
        let (images, labels) = batch();
        let labels = labels.one_hot(4).to_kind(Kind::Float);
        let (x, y) = apply(Mix::Cut { area: [1, 0, 4, 2] }, &images, &labels).unwrap();
        assert_eq!(floats(&x.get(1).get(0).get(1)), [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(floats(&x.get(1).get(1).get(2)), [1.0; 6]);
        assert_eq!(floats(&y.get(1)), [0.75, 0.0, 0.25, 0.0]);
        // The input batch is unchanged.
        assert_eq!(floats(&images.get(1)), [1.0; 48]);
    }

    #[test]
    fn draws_depend_on_the_step_alone_and_take_either() {
        let train = Train { mixup: Some(0.4), cutmix: Some(1.0), ..Train::default() };
        let at = |step| {
            draw(&train, &[3, 2, 32, 32], &mut rng(train.seed, u64::MAX, step))
                .unwrap()
                .unwrap()
        };
        let drawn: Vec<Mix> = (0..200).map(at).collect();
        assert_eq!(drawn, (0..200).map(at).collect::<Vec<_>>());
        let ups = drawn.iter().filter(|m| matches!(m, Mix::Up { .. })).count();
        assert!((70..130).contains(&ups), "{ups}");
        let none = Train::default();
        let (images, labels) = batch();
        let (_, same) = mix(&none, (3, 0), &images, &labels, 4).unwrap();
        assert_eq!((same.kind(), same.device()), (Kind::Int64, Device::Cpu));
    }
}
