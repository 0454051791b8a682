//! `ConvertImageDtype`.

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::dtype::Dtype;
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleKind, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Converts to another type of number and scales: 255 becomes 1, and 1 becomes 255.
    pub struct ConvertImageDtype {
        /// The type.
        pub dtype: Dtype = Dtype::Float32,
    }
}

impl Step for ConvertImageDtype {
    fn output_kind(&self, _: SampleKind) -> SampleKind {
        self.dtype.kind()
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        Ok(SampleSpec { kind: self.dtype.kind(), ..input })
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        Ok(self.dtype.convert(sample, true))
    }
}
