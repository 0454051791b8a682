//! `RandomApply`.

use crate::Result;
use crate::transform::Pipeline;
use crate::transform::argument::{Checked, check_probability, transform};
use crate::transform::random::{Rng, happens};
use crate::transform::sample::{Sample, SampleKind, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Applies all of some transforms with probability `p`, or none of them.
    pub struct RandomApply {
        /// The transforms, in order.
        pub transforms: Pipeline,
        /// The probability.
        pub p: f64 = 0.5,
    }
}

impl Step for RandomApply {
    fn check(&self) -> Checked {
        check_probability("p", self.p)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output_kind(&self, input: SampleKind) -> SampleKind {
        self.transforms.output_kind(input)
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        input.or(self.transforms.output(input)?)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        if !happens(self.p, rng) {
            return Ok(sample);
        }
        self.transforms.apply(sample, rng)
    }
}
