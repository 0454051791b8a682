//! `RandomInvert`.

use crate::Result;
use crate::transform::argument::{Checked, check_probability, transform};
use crate::transform::pixels::levels::invert;
use crate::transform::random::{Rng, happens};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Inverts the levels, with probability `p`.
    pub struct RandomInvert {
        /// The probability.
        pub p: f64 = 0.5,
    }
}

impl Step for RandomInvert {
    fn check(&self) -> Checked {
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
        Ok(Sample::Image(invert(&image)))
    }
}
