//! `ToTensor`.

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::dtype::to_tensor;
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleKind, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Makes a float32 tensor `[C, H, W]` of an image, with 0 to 255 scaled to 0 to 1. A
    /// tensor is left as it is.
    pub struct ToTensor {}
}

impl Step for ToTensor {
    fn output_kind(&self, _: SampleKind) -> SampleKind {
        SampleKind::Tensor
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        Ok(SampleSpec { kind: SampleKind::Tensor, ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        match sample {
            Sample::Image(image) => Ok(Sample::Tensor(to_tensor(&image, |x| x / 255.0))),
            tensor => Ok(tensor),
        }
    }
}
