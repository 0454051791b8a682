//! `PILToTensor`.

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::random::Rng;
use crate::transform::sample::Sample;
use crate::transform::step::Step;

transform! {
    /// Changes nothing: an image here is what torchvision's PILToTensor makes of it.
    pub struct PILToTensor {}
}

impl Step for PILToTensor {
    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(sample)
    }
}
