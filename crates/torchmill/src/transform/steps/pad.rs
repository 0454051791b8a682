//! `Pad`.

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::argument_types::{Edges, Fill, PaddingMode};
use crate::transform::pixel_map::PixelMap;
use crate::transform::random::Rng;
use crate::transform::sample::SampleSpec;
use crate::transform::step::Step;

transform! {
    /// Adds rows and columns around an image or a tensor.
    pub struct Pad {
        /// `n`, `(left and right, top and bottom)` or `(left, top, right, bottom)`.
        pub padding: Edges,
        /// The value of added pixels if the mode is constant.
        pub fill: Fill = Fill::zero(),
        /// The pixels that are added.
        pub padding_mode: PaddingMode = PaddingMode::Constant,
    }
}

impl Step for Pad {
    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        self.fill.check(input)?;
        Ok(input.grown_by(self.padding.rows(), self.padding.columns()))
    }

    fn pixel_map(
        &self,
        height: usize,
        width: usize,
        _: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        let mode = self.padding_mode;
        Ok(Some(PixelMap::padding(height, width, self.padding, &self.fill, mode)))
    }
}
