//! `Pad`.

use super::arguments::transform;
use super::image::Form;
use super::planes::{check_fill, padded};
use super::random::Rng;
use super::rearrangement::Rearrangement;
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

    fn rearrangement(
        &self,
        height: usize,
        width: usize,
        _: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        Ok(Some(margins(height, width, self.padding, &self.fill, self.padding_mode)))
    }
}

/// The form with these margins.
pub(super) fn grown(input: Form, edges: Edges) -> Form {
    let grow = |(height, width)| {
        (height + edges.top + edges.bottom, width + edges.left + edges.right)
    };
    Form { size: input.size.map(grow), ..input }
}

/// These margins around a sample of this height and width.
pub(super) fn margins(
    height: usize,
    width: usize,
    edges: Edges,
    fill: &Fill,
    mode: PaddingMode,
) -> Rearrangement {
    let rows = padded(height, edges.top, edges.bottom, mode);
    let columns = padded(width, edges.left, edges.right, mode);
    match mode {
        PaddingMode::Constant => Rearrangement::filled(rows, columns, fill),
        _ => Rearrangement::whole(rows, columns),
    }
}
