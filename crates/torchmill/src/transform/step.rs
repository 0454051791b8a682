//! The interface of every transform.

use super::argument::Checked;
use super::literal::Call;
use super::pixel_map::PixelMap;
use super::random::Rng;
use super::sample::{Sample, SampleKind, SampleSpec};
use crate::{Error, Result};

/// The name and the arguments of a transform. [`transform!`](super::argument) implements
/// it.
pub(super) trait Signature {
    /// torchvision's name.
    fn name(&self) -> &'static str;
    /// The transform as in the canonical text, without default arguments.
    fn to_call(&self) -> Call;
}

/// What a transform does. Its arguments are the fields of its struct.
pub(super) trait Step: Signature {
    /// Whether the arguments are in range. Called once, after they are read.
    fn check(&self) -> Checked {
        Ok(())
    }

    /// Whether it draws random numbers.
    fn is_random(&self) -> bool {
        false
    }

    /// The kind of the output for this kind of input.
    fn output_kind(&self, input: SampleKind) -> SampleKind {
        input
    }

    /// The spec of the output for this input, or an error if the transform cannot be
    /// applied to it.
    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        Ok(input)
    }

    /// For a transform that only moves whole rows and columns: the map for an image of
    /// this height and width. Such a transform needs no [`Step::apply`].
    fn pixel_map(
        &self,
        _height: usize,
        _width: usize,
        _rng: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        Ok(None)
    }

    /// Transforms a sample. The number of its values matches its shape, and must also do
    /// so in the result.
    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        match self.pixel_map(height, width, rng)? {
            Some(map) => map.apply(&sample),
            None => Err(Error::failed("has neither apply nor pixel_map")),
        }
    }
}
