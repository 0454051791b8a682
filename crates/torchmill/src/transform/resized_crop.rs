//! `RandomResizedCrop`.

use super::arguments::transform;
use super::crop::crop;
use super::erasing::{check_area, rectangle};
use super::image::{Form, Sample};
use super::jitter::images_only;
use super::random::{Rng, below};
use super::resample::resized;
use super::step::{Step, Wrong};
use super::types::{Interpolation, Size};
use crate::Result;

transform! {
    /// A part of random size and shape, resized: what ImageNet classifiers train on.
    pub struct RandomResizedCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
        /// The smallest and the largest share of the area.
        pub scale: [f64; 2] = [0.08, 1.0],
        /// The smallest and the largest width to height, drawn evenly on a log scale.
        pub ratio: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0],
        /// The filter.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// Has no effect on images, as in torchvision.
        pub antialias: Option<bool> = Some(true),
    }
}

impl Step for RandomResizedCrop {
    fn check(&self) -> std::result::Result<(), Wrong> {
        check_area(self.scale, self.ratio)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: Form) -> Result<Form> {
        let (height, width) = self.size.square();
        Ok(images_only(input)?.sized(height, width))
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        let (top, left, h, w) = self.drawn(height, width, rng);
        let part = crop(&sample, top as isize, left as isize, h, w)?.into_image()?;
        let (height, width) = self.size.square();
        resized(part, height, width, self.interpolation).map(Sample::Image)
    }
}

impl RandomResizedCrop {
    /// (top, left, height, width). After ten tries that do not fit, the largest central
    /// part of a ratio that is allowed, as torchvision does.
    pub(super) fn drawn(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> (usize, usize, usize, usize) {
        for _ in 0..10 {
            let (w, h) = rectangle(height * width, self.scale, self.ratio, rng);
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                return (below(height - h + 1, rng), below(width - w + 1, rng), h, w);
            }
        }
        let ratio = width as f64 / height as f64;
        let [low, high] = self.ratio;
        let side = |x: f64, most: usize| (x.round_ties_even() as usize).clamp(1, most);
        let (h, w) = if ratio < low {
            (side(width as f64 / low, height), width)
        } else if ratio > high {
            (height, side(height as f64 * high, width))
        } else {
            (height, width)
        };
        ((height - h) / 2, (width - w) / 2, h, w)
    }
}
