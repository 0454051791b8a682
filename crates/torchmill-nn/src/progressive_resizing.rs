//! Makes the images of a batch smaller, on its device: ProgressiveResizing.

use rand::RngExt as _;
use tch::{Kind, TchError, Tensor};
use torchmill::recipe::{ProgressiveResizing, ResizeMode};
use torchmill::schedule::Position;
use torchmill::transform::rng;
use torchmill::{Error, Result};

use crate::tensor::{f_channels_last, f_crop};
use crate::torch_error;

/// Returns images `[N, C, H, W]` with the height and width of the step at this position, and
/// the same dtype. A crop is drawn from the seed, the step and the process's rank, and is the
/// same for all images.
pub fn resize(
    settings: &ProgressiveResizing,
    (seed, rank): (u64, u32),
    images: &Tensor,
    at: Position,
) -> Result<Tensor> {
    let &[_, _, full_height, full_width] = images.size().as_slice() else {
        return Err(Error::failed("a batch is not [N, C, H, W]"));
    };
    let full = [full_height, full_width];
    let size = settings.size(full.map(|side| side as usize), at);
    let size = size.map(|side| side as i64);
    if size == full {
        return Ok(images.shallow_clone());
    }
    let resized = match settings.mode {
        ResizeMode::Resize => scale_down(images, size),
        ResizeMode::Crop => {
            // An epoch number that no image's own transforms use, nor mixup.
            let epoch = u64::MAX / 2 - u64::from(rank);
            let mut rng = rng(seed, epoch, at.step);
            let top = rng.random_range(0..=full[0] - size[0]);
            let left = rng.random_range(0..=full[1] - size[1]);
            f_crop(images, [top, left], size)
        }
    };
    resized.map_err(|e| torch_error(&e).within("progressive_resizing"))
}

/// Filters the images in float32 as `torchvision.transforms.v2.functional.resize` does with its
/// defaults, bilinear and antialias.
fn scale_down(images: &Tensor, size: [i64; 2]) -> Result<Tensor, TchError> {
    let wide = images.f_to_kind(Kind::Float)?;
    let scaled = wide.f_internal_upsample_bilinear2d_aa(size, false, None, None)?;
    f_channels_last(&scaled.f_to_kind(images.kind())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::tensor::floats;

    fn settings(mode: ResizeMode) -> ProgressiveResizing {
        ProgressiveResizing {
            mode,
            initial_scale: 0.7,
            size_increment: 1,
            ..ProgressiveResizing::default()
        }
    }

    fn at(step: u64) -> Position {
        Position { epoch: 0, epochs: 1, step, steps: 100 }
    }

    /// The same numbers as in `tests/golden/progressive_resizing.py`.
    fn wave() -> Tensor {
        Tensor::arange(48, (Kind::Double, tch::Device::Cpu))
            .sin()
            .to_kind(Kind::Float)
            .reshape([1, 2, 4, 6])
    }

    #[test]
    fn scaled_images_are_torchvisions() {
        // torchvision 0.26.0 printed these (tests/golden/progressive_resizing.py): the first row
        // of each channel.
        let expected = [
            [0.140_580_76, 0.801_420_57, 0.089_928_03, -0.835_032_64],
            [-0.716_449_4, 0.337_558_12, 0.759_315_1, -0.138_127_22],
        ];
        let resizing =
            ProgressiveResizing { initial_scale: 0.75, ..settings(ResizeMode::Resize) };
        let scaled = resize(&resizing, (0, 0), &wave(), at(0)).unwrap();
        assert_eq!(scaled.size(), [1, 2, 2, 4]);
        assert_eq!(scaled.stride(), [16, 1, 8, 2]);
        for (channel, expected) in [0, 1].into_iter().zip(expected) {
            let got = floats(&scaled.get(0).get(channel).get(0));
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{channel}: {got} {expected}");
            }
        }
        let half = wave().to_kind(Kind::BFloat16);
        let half = resize(&resizing, (0, 0), &half, at(0)).unwrap();
        assert_eq!(half.kind(), Kind::BFloat16);
    }

    #[test]
    fn a_crop_is_a_part_of_the_images() {
        let images = Tensor::cat(&[wave(), wave() * 2.0], 0).to_kind(Kind::BFloat16);
        let mut corners = std::collections::BTreeSet::new();
        for step in 0..50 {
            let resizing = settings(ResizeMode::Crop);
            let cropped = resize(&resizing, (3, 0), &images, at(step)).unwrap();
            assert_eq!(
                (cropped.size(), cropped.kind()),
                (vec![2, 2, 2, 4], Kind::BFloat16)
            );
            assert_eq!(cropped.stride(), [16, 1, 8, 2]);
            let again = resize(&resizing, (3, 0), &images, at(step)).unwrap();
            assert_eq!(cropped, again);
            let mut found = None;
            for top in 0..=2 {
                for left in 0..=2 {
                    if images.narrow(2, top, 2).narrow(3, left, 4) == cropped {
                        found = Some([top, left]);
                    }
                }
            }
            corners.insert(found.unwrap());
        }
        assert_eq!(corners.len(), 9);
    }

    #[test]
    fn processes_crop_different_parts() {
        let images = Tensor::arange(32 * 32, (Kind::Float, tch::Device::Cpu));
        let images = images.reshape([1, 1, 32, 32]);
        let resizing = settings(ResizeMode::Crop);
        let [first, second] =
            [0, 1].map(|rank| resize(&resizing, (0, rank), &images, at(4)).unwrap());
        assert_ne!(first, second);
    }

    #[test]
    fn images_of_full_size_are_not_copied() {
        let images = wave();
        for mode in [ResizeMode::Crop, ResizeMode::Resize] {
            let same = resize(&settings(mode), (0, 0), &images, at(99)).unwrap();
            assert_eq!(same.data_ptr(), images.data_ptr());
        }
    }
}
