//! `ExifTranspose`.

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Rotates and flips an image as the EXIF data in its file say, like PIL's
    /// `ImageOps.exif_transpose`. It must come first: the program that reads the file
    /// does it while decoding (see [`Pipeline::exif`](crate::transform::Pipeline)).
    pub struct ExifTranspose {}
}

impl Step for ExifTranspose {
    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        input.require_image()
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        sample.into_image().map(Sample::Image)
    }
}
