//! `CenterCrop`.

use std::ops::Range;

use crate::Result;
use crate::transform::argument::transform;
use crate::transform::argument_types::{Fill, Size};
use crate::transform::pixel_map::{PixelMap, window};
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// The middle of an image or a tensor. If it is smaller than that, it is padded with 0.
    pub struct CenterCrop {
        /// `n` for a square, or `(height, width)`.
        pub size: Size,
    }
}

impl Step for CenterCrop {
    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let (height, width) = self.size.square();
        Ok(input.with_size(height, width))
    }

    fn pixel_map(
        &self,
        height: usize,
        width: usize,
        _: &mut Rng,
    ) -> Result<Option<PixelMap>> {
        Ok(Some(self.map(height, width)))
    }
}

impl CenterCrop {
    /// Crops a sample.
    pub(super) fn crop(&self, sample: &Sample) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        self.map(height, width).apply(sample)
    }

    fn map(&self, height: usize, width: usize) -> PixelMap {
        let (rows, columns) = self.size.square();
        let rows = window(height, start(height, rows), rows);
        let columns = window(width, start(width, columns), columns);
        PixelMap::with_fill(rows, columns, &Fill::zero())
    }

    /// The rows and columns that the crop keeps of an image, or `None` if it also pads.
    pub(super) fn window(
        &self,
        height: usize,
        width: usize,
    ) -> Option<[Range<usize>; 2]> {
        let (rows, columns) = self.size.square();
        Some([window_within(height, rows)?, window_within(width, columns)?])
    }
}

fn window_within(have: usize, want: usize) -> Option<Range<usize>> {
    let start = usize::try_from(start(have, want)).ok()?;
    let window = start..start + want;
    (window.end <= have).then_some(window)
}

/// The index of the first of the middle `want` of `have`, negative if there are too few.
/// It rounds like torchvision: the smaller half of the missing pixels is added before;
/// half of an odd number of spare ones is rounded to even.
fn start(have: usize, want: usize) -> isize {
    let spare = have as isize - want as isize;
    if spare < 0 {
        return -(-spare / 2);
    }
    (spare as f64 / 2.0).round_ties_even() as isize
}
