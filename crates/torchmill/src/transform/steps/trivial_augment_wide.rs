//! `TrivialAugmentWide`.

use crate::Result;
use crate::transform::argument::{Checked, transform};
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::augment::{WIDE_RANGES, Warp, apply_one, check_bins};
use crate::transform::pixels::warp::check_warp;
use crate::transform::random::{Rng, below};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Applies one random operation of random magnitude, from wide ranges
    /// ("TrivialAugment", arXiv:2103.10158).
    pub struct TrivialAugmentWide {
        /// The number of magnitudes.
        pub num_magnitude_bins: usize = 31,
        /// Nearest, bilinear or bicubic, for operations that rotate, move and shear.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for TrivialAugmentWide {
    fn check(&self) -> Checked {
        check_bins(self.num_magnitude_bins)?;
        self.interpolation.check_for_warp()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let warp = Warp { interpolation: self.interpolation, fill: &self.fill };
        let bins = self.num_magnitude_bins;
        let bin = |rng: &mut Rng| below(bins, rng);
        apply_one(WIDE_RANGES, &image, bins, bin, warp, rng).map(Sample::Image)
    }
}
