//! `AutoAugment`.

use crate::Result;
use crate::transform::argument::{Checked, transform};
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::augment::{
    AutoAugmentPolicy, POLICY_BINS, RANGES, Warp, policies, random_sign, range,
};
use crate::transform::pixels::warp::check_warp;
use crate::transform::random::{Rng, below, happens};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Applies one of 25 learned pairs of operations ("AutoAugment", arXiv:1805.09501).
    pub struct AutoAugment {
        /// The data set that the pairs were learned on.
        pub policy: AutoAugmentPolicy = AutoAugmentPolicy::ImageNet,
        /// Nearest, bilinear or bicubic, for operations that rotate, move and shear.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for AutoAugment {
    fn check(&self) -> Checked {
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
        let mut image = sample.into_image()?;
        let warp = Warp { interpolation: self.interpolation, fill: &self.fill };
        let pairs = policies(self.policy);
        for &(operation, p, bin) in &pairs[below(pairs.len(), rng)] {
            if !happens(p, rng) {
                continue;
            }
            let range = range(RANGES, operation);
            let size = (image.height, image.width);
            let magnitude = range.magnitude(POLICY_BINS, bin, size);
            image = operation.apply(&image, random_sign(range, magnitude, rng), warp)?;
        }
        Ok(Sample::Image(image))
    }
}
