//! `RandomAdjustSharpness`.

use crate::Result;
use crate::transform::argument::{
    Checked, InvalidArgument, check_probability, transform,
};
use crate::transform::pixels::enhance::{MAX_FACTOR, sharpness};
use crate::transform::random::{Rng, happens};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Sharpens or blurs, with probability `p`.
    pub struct RandomAdjustSharpness {
        /// 0 blurs, 1 changes nothing, 2 sharpens.
        pub sharpness_factor: f64,
        /// The probability.
        pub p: f64 = 0.5,
    }
}

impl Step for RandomAdjustSharpness {
    fn check(&self) -> Checked {
        if !(0.0..=MAX_FACTOR).contains(&self.sharpness_factor) {
            let why = "must not be negative";
            return Err(InvalidArgument::new("sharpness_factor", why));
        }
        check_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        input.require_image()
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        if !happens(self.p, rng) {
            return Ok(Sample::Image(image));
        }
        Ok(Sample::Image(sharpness(&image, self.sharpness_factor)))
    }
}
