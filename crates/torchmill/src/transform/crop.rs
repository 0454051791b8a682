//! `CenterCrop` and `RandomCrop`.

use std::ops::Range;

use super::arguments::transform;
use super::image::{Form, Sample};
use super::pad::{grown, margins};
use super::planes::{check_fill, half, rearranged, window};
use super::random::{Rng, below};
use super::rearrangement::Rearrangement;
use super::step::Step;
use super::types::{Edges, Fill, PaddingMode, Size};
use crate::{Error, Result};

transform! {
    /// The middle of an image or a tensor; where it is smaller than that, black is added
    /// around it.
    pub struct CenterCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
    }
}

impl Step for CenterCrop {
    fn output(&self, input: Form) -> Result<Form> {
        let (height, width) = self.size.square();
        Ok(input.sized(height, width))
    }

    fn rearrangement(
        &self,
        height: usize,
        width: usize,
        _: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        Ok(Some(self.middle(height, width)))
    }
}

impl CenterCrop {
    /// The middle of this.
    pub(super) fn cropped(&self, sample: &Sample) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        self.middle(height, width).apply(sample)
    }

    fn middle(&self, height: usize, width: usize) -> Rearrangement {
        let (rows, columns) = self.size.square();
        let (top, left) = (center(height, rows), center(width, columns));
        Rearrangement::filled(
            window(height, top, rows),
            window(width, left, columns),
            &Fill::zero(),
        )
    }

    /// The rows and columns that are left of an image, where none need be added.
    pub(super) fn inside(
        &self,
        height: usize,
        width: usize,
    ) -> Option<[Range<usize>; 2]> {
        let (rows, columns) = self.size.square();
        let window = |have: usize, want: usize| {
            let start = usize::try_from(center(have, want)).ok()?;
            Some(start..start + want).filter(|window| window.end <= have)
        };
        Some([window(height, rows)?, window(width, columns)?])
    }
}

/// Where torchvision starts the middle `want` of `have`: before the first one where there
/// are not enough.
fn center(have: usize, want: usize) -> isize {
    let spare = have as isize - want as isize;
    // Missing pixels are added first, the smaller half before; spare ones are cut off,
    // halves to even.
    if spare < 0 { -(-spare / 2) } else { half(spare) }
}

transform! {
    /// A part at a random place.
    pub struct RandomCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
        /// Added around the image first.
        pub padding: Option<Edges> = None,
        /// Whether to add on both sides what an image lacks.
        pub pad_if_needed: bool = false,
        /// The value of what is added, where the mode is constant.
        pub fill: Fill = Fill::zero(),
        /// What is added.
        pub padding_mode: PaddingMode = PaddingMode::Constant,
    }
}

impl RandomCrop {
    fn no_padding() -> Edges {
        Edges { left: 0, top: 0, right: 0, bottom: 0 }
    }

    /// All that is added around an image of this size, or an error where it is too small.
    fn margins(&self, height: usize, width: usize) -> Result<Edges> {
        let (want_height, want_width) = self.size.square();
        let mut edges = self.padding.unwrap_or(Self::no_padding());
        let missing_rows = want_height.saturating_sub(height + edges.top + edges.bottom);
        let missing_columns = want_width.saturating_sub(width + edges.left + edges.right);
        if (missing_rows > 0 || missing_columns > 0) && !self.pad_if_needed {
            return Err(Error::failed(format_args!(
                "a crop of {want_height}x{want_width} does not fit into {height}x{width} pixels (resize \
                 first, or set pad_if_needed=True)"
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

    fn output(&self, input: Form) -> Result<Form> {
        check_fill(&self.fill, input)?;
        if let Some((height, width)) = input.size {
            grown(input, self.margins(height, width)?).check()?;
        }
        let (height, width) = self.size.square();
        Ok(input.sized(height, width))
    }

    fn rearrangement(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Result<Option<Rearrangement>> {
        let padded = margins(
            height,
            width,
            self.margins(height, width)?,
            &self.fill,
            self.padding_mode,
        );
        let (rows, columns) = self.size.square();
        let top = below(padded.rows.len() - rows + 1, rng);
        let left = below(padded.columns.len() - columns + 1, rng);
        let window =
            |start: usize, length: usize| (start..start + length).map(Some).collect();
        Ok(padded.then(Rearrangement::whole(window(top, rows), window(left, columns))))
    }
}

/// The part of this size whose first pixel is (top, left); black where there is no pixel.
pub(super) fn crop(
    sample: &Sample,
    top: isize,
    left: isize,
    height: usize,
    width: usize,
) -> Result<Sample> {
    let [_, h, w] = sample.shape();
    rearranged(sample, &window(h, top, height), &window(w, left, width), &Fill::zero())
}
