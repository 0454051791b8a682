//! `RandomGrayscale`.

use crate::Result;
use crate::transform::argument::{Checked, check_probability, transform};
use crate::transform::pixels::luminance::gray_rgb;
use crate::transform::random::{Rng, happens};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Makes an RGB image grey with probability `p`. It keeps three channels.
    pub struct RandomGrayscale {
        /// The probability.
        pub p: f64 = 0.1,
    }
}

impl Step for RandomGrayscale {
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
        let grey = happens(self.p, rng);
        if !grey || image.channels == 1 {
            return Ok(Sample::Image(image));
        }
        Ok(Sample::Image(gray_rgb(&image)))
    }
}
