//! `RandomCrop`.

use crate::transform::argument::transform;
use crate::transform::argument_types::{Edges, Fill, PaddingMode, Size};
use crate::transform::pixel_map::{PixelMap, SourceIndices};
use crate::transform::random::{Rng, below};
use crate::transform::sample::SampleSpec;
use crate::transform::step::Step;
use crate::{Error, Result};

transform! {
    /// A part at a random place.
    pub struct RandomCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
        /// Added around the image first.
        pub padding: Option<Edges> = None,
        /// Whether to pad both sides of an image that is too small.
        pub pad_if_needed: bool = false,
        /// The value of added pixels if the mode is constant.
        pub fill: Fill = Fill::zero(),
        /// The pixels that are added.
        pub padding_mode: PaddingMode = PaddingMode::Constant,
    }
}

impl RandomCrop {
    /// All padding around an image of this size, or an error if the image is too small.
    fn edges(&self, height: usize, width: usize) -> Result<Edges> {
        let (crop_height, crop_width) = self.size.square();
        let mut edges = self.padding.unwrap_or(Edges::NONE);
        let missing_rows = crop_height.saturating_sub(height + edges.rows());
        let missing_columns = crop_width.saturating_sub(width + edges.columns());
        if (missing_rows > 0 || missing_columns > 0) && !self.pad_if_needed {
            return Err(Error::failed(format_args!(
                "a crop of {crop_height}x{crop_width} does not fit into \
                 {height}x{width} pixels (resize first, or set pad_if_needed=True)"
            )));
        }
        edges.top += missing_rows;
        edges.bottom += missing_rows;
        edges.left += missing_columns;
        edges.right += missing_columns;
        Ok(edges)
    }
}

impl Step for RandomCrop {
    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        self.fill.check(input)?;
        if let Some((height, width)) = input.size {
            let edges = self.edges(height, width)?;
            input.grown_by(edges.rows(), edges.columns()).check()?;
        }
        let (height, width) = self.size.square();
        Ok(input.with_size(height, width))
    }

    fn pixel_map(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        let edges = self.edges(height, width)?;
        let padded =
            PixelMap::padding(height, width, edges, &self.fill, self.padding_mode);
        let (crop_height, crop_width) = self.size.square();
        let top = below(padded.rows.len() - crop_height + 1, rng);
        let left = below(padded.columns.len() - crop_width + 1, rng);
        let rows = indices(top, crop_height);
        let columns = indices(left, crop_width);
        Ok(padded.then(PixelMap::without_fill(rows, columns)))
    }
}

fn indices(start: usize, length: usize) -> SourceIndices {
    (start..start + length).map(Some).collect()
}
