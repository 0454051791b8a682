//! `Pad`.

use super::arguments::transform;
use super::image::{Form, Sample};
use super::planes::{check_fill, padded, rearranged};
use super::random::Rng;
use super::step::Step;
use super::types::{Edges, Fill, PaddingMode};
use crate::Result;

transform! {
    /// Adds rows and columns around an image or a tensor.
    pub struct Pad {
        /// `n`, `(left and right, top and bottom)` or `(left, top, right, bottom)`.
        pub padding: Edges,
        /// The value of what is added, where the mode is constant.
        pub fill: Fill = Fill::zero(),
        /// What is added.
        pub padding_mode: PaddingMode = PaddingMode::Constant,
    }
}

impl Step for Pad {
    fn output(&self, input: Form) -> Result<Form> {
        check_fill(&self.fill, input)?;
        Ok(grown(input, self.padding))
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        pad(&sample, self.padding, &self.fill, self.padding_mode)
    }
}

/// The form with these margins.
pub(super) fn grown(input: Form, edges: Edges) -> Form {
    let grow = |(height, width)| (height + edges.top + edges.bottom, width + edges.left + edges.right);
    Form { size: input.size.map(grow), ..input }
}

/// The sample with these margins.
pub(super) fn pad(sample: &Sample, edges: Edges, fill: &Fill, mode: PaddingMode) -> Result<Sample> {
    let [_, height, width] = sample.shape();
    let rows = padded(height, edges.top, edges.bottom, mode);
    let columns = padded(width, edges.left, edges.right, mode);
    rearranged(sample, &rows, &columns, fill)
}
