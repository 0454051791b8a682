//! `RandomPosterize`.

use crate::Result;
use crate::transform::argument::{
    Checked, InvalidArgument, check_probability, transform,
};
use crate::transform::pixels::levels::posterize;
use crate::transform::random::{Rng, happens};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Keeps only the highest bits of each level, with probability `p`.
    pub struct RandomPosterize {
        /// The number of bits to keep, 0 to 8.
        pub bits: usize,
        /// The probability.
        pub p: f64 = 0.5,
    }
}

impl Step for RandomPosterize {
    fn check(&self) -> Checked {
        if self.bits > 8 {
            let why = format!("must be from 0 to 8, not {}", self.bits);
            return Err(InvalidArgument::new("bits", why));
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
        Ok(Sample::Image(posterize(&image, self.bits as u32)))
    }
}
