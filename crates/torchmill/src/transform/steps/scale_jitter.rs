//! `ScaleJitter`.

use crate::Result;
use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::argument_types::{Interpolation, Size};
use crate::transform::pixels::resample::resize;
use crate::transform::random::{Rng, between};
use crate::transform::sample::{Image, Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Resizes to a random share of the size at which the image fits into the target; the
    /// aspect ratio is kept. Images differ in size afterwards.
    pub struct ScaleJitter {
        /// `(height, width)`.
        pub target_size: Size,
        /// The smallest and the largest share.
        pub scale_range: [f64; 2] = [0.1, 2.0],
        /// The filter.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// Has no effect on images, as in torchvision.
        pub antialias: Option<bool> = Some(true),
    }
}

impl Step for ScaleJitter {
    fn check(&self) -> Checked {
        if !matches!(self.target_size, Size::Exact(..)) {
            return Err(InvalidArgument::new("target_size", "must be (height, width)"));
        }
        let [low, high] = self.scale_range;
        if !(low > 0.0 && low <= high && high <= 1e3) {
            let why = "must be positive and go from low to high, at most 1000";
            return Err(InvalidArgument::new("scale_range", why));
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        Ok(SampleSpec { size: None, ..input.require_image()? })
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let scale = between(self.scale_range, rng) as f32;
        self.resize(image, scale).map(Sample::Image)
    }
}

impl ScaleJitter {
    /// The image at a share of the size at which it fits.
    pub(in crate::transform) fn resize(&self, image: Image, scale: f32) -> Result<Image> {
        let (height, width) = self.size_at(scale, image.height, image.width);
        resize(image, height, width, self.interpolation)
    }

    /// The new height and width of an image of this height and width, in float32 as in
    /// torchvision, which compares the target's width with the image's height.
    fn size_at(&self, scale: f32, height: usize, width: usize) -> (usize, usize) {
        let (target_height, target_width) = self.target_size.square();
        let fit = (target_width as f64 / height as f64)
            .min(target_height as f64 / width as f64);
        let ratio = fit as f32 * scale;
        ((height as f32 * ratio) as usize, (width as f32 * ratio) as usize)
    }
}
