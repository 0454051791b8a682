//! `RandomResizedCrop`.

use crate::Result;
use crate::transform::argument::{Checked, transform};
use crate::transform::argument_types::{Interpolation, Size};
use crate::transform::pixel_map::{PixelMap, window};
use crate::transform::pixels::resample::resize;
use crate::transform::random::{Rng, below};
use crate::transform::rectangle::{check_scale_and_ratio, random_sides};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// A part of random size and shape, resized; the usual augmentation for ImageNet.
    pub struct RandomResizedCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
        /// The smallest and the largest share of the area.
        pub scale: [f64; 2] = [0.08, 1.0],
        /// The smallest and the largest ratio of width to height.
        pub ratio: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0],
        /// The filter.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// Has no effect on images, as in torchvision.
        pub antialias: Option<bool> = Some(true),
    }
}

impl Step for RandomResizedCrop {
    fn check(&self) -> Checked {
        check_scale_and_ratio(self.scale, self.ratio)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let (height, width) = self.size.square();
        Ok(input.require_image()?.with_size(height, width))
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        let (top, left, h, w) = self.draw(height, width, rng);
        let rows = window(height, top as isize, h);
        let columns = window(width, left as isize, w);
        let part = PixelMap::without_fill(rows, columns).apply(&sample)?.into_image()?;
        let (height, width) = self.size.square();
        resize(part, height, width, self.interpolation).map(Sample::Image)
    }
}

impl RandomResizedCrop {
    /// (top, left, height, width). If ten rectangles did not fit, the largest central part
    /// with an allowed ratio, as in torchvision.
    fn draw(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> (usize, usize, usize, usize) {
        for _ in 0..10 {
            let (w, h) = random_sides(height * width, self.scale, self.ratio, rng);
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = below(height - h + 1, rng);
                let left = below(width - w + 1, rng);
                return (top, left, h, w);
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
