//! Moves whole rows and columns without changing a pixel: padding, crops and flips.
//! Several such steps make one map, which a loader can apply while it copies the pixels.

use std::ops::Range;

use super::argument_types::{Edges, Fill, PaddingMode};
use super::sample::{Image, Sample, Tensor, elements};
use crate::Result;

/// For each row (or column) of an output, the index of the input's row that it copies, or
/// `None` for the fill.
pub(super) type SourceIndices = Vec<Option<usize>>;

/// The rows and columns of the input that an output is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelMap {
    /// The source of each output row, or `None` for the fill.
    pub rows: SourceIndices,
    /// The source of each output column, or `None` for the fill.
    pub columns: SourceIndices,
    /// The value of pixels without a source; `None` if there are no such pixels.
    fill: Option<Fill>,
}

impl PixelMap {
    /// The map that changes nothing.
    pub(super) fn identity(height: usize, width: usize) -> Self {
        Self::without_fill(identity(height), identity(width))
    }

    /// A map in which every row and column has a source.
    pub(super) fn without_fill(rows: SourceIndices, columns: SourceIndices) -> Self {
        Self { rows, columns, fill: None }
    }

    /// A map that fills the rows and columns without a source.
    pub(super) fn with_fill(
        rows: SourceIndices,
        columns: SourceIndices,
        fill: &Fill,
    ) -> Self {
        Self { rows, columns, fill: Some(fill.clone()) }
    }

    /// The map that pads a sample of this height and width.
    pub(super) fn padding(
        height: usize,
        width: usize,
        edges: Edges,
        fill: &Fill,
        mode: PaddingMode,
    ) -> Self {
        let rows = padded(height, edges.top, edges.bottom, mode);
        let columns = padded(width, edges.left, edges.right, mode);
        match mode {
            PaddingMode::Constant => Self::with_fill(rows, columns, fill),
            _ => Self::without_fill(rows, columns),
        }
    }

    /// Applies the map.
    pub(super) fn apply(&self, sample: &Sample) -> Result<Sample> {
        let [channels, source_height, source_width] = sample.shape();
        let (height, width) = (self.rows.len(), self.columns.len());
        elements(channels, height, width)?;
        let zero = Fill::zero();
        let fill = self.fill.as_ref().unwrap_or(&zero);
        match sample {
            Sample::Image(image) => {
                let fill = fill.levels(channels)?;
                let pixels = self.gather(&image.pixels, source_width, &fill);
                Ok(Sample::Image(Image { width, height, channels, pixels }))
            }
            Sample::Tensor(tensor) => {
                let fill = fill.channels(channels)?;
                let planes = tensor.values.chunks_exact(source_height * source_width);
                let mut values = Vec::with_capacity(channels * height * width);
                for (plane, fill) in planes.zip(fill) {
                    values.extend(self.gather(plane, source_width, &[fill as f32]));
                }
                let shape = [channels, height, width];
                Ok(Sample::Tensor(Tensor { shape, values }))
            }
        }
    }

    /// Combines this map and then `next` into one, or `None` if both fill, with different
    /// values.
    pub(super) fn then(self, next: Self) -> Option<Self> {
        let fill = match (self.fill, next.fill) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let compose = |first: &SourceIndices, second: &SourceIndices| -> SourceIndices {
            second.iter().map(|&i| first.get(i?).copied().flatten()).collect()
        };
        let rows = compose(&self.rows, &next.rows);
        let columns = compose(&self.columns, &next.columns);
        Some(Self { rows, columns, fill })
    }

    /// The source rows and columns that the map uses, at least one of each, in an image
    /// of this height and width.
    pub fn sources(&self, height: usize, width: usize) -> [Range<usize>; 2] {
        [used(&self.rows, height), used(&self.columns, width)]
    }

    /// Renumbers the sources, for an image without the rows above and the columns before
    /// these.
    pub fn renumber(&mut self, first_row: usize, first_column: usize) {
        for row in self.rows.iter_mut().flatten() {
            *row -= first_row;
        }
        for column in self.columns.iter_mut().flatten() {
            *column -= first_column;
        }
    }

    /// The value of pixels without a source, one for each channel of an image.
    pub fn fill_levels(&self, channels: usize) -> Result<Vec<u8>> {
        match &self.fill {
            Some(fill) => fill.levels(channels),
            None => Fill::zero().levels(channels),
        }
    }

    /// The output pixels, row by row. Each pixel is `fill.len()` values.
    fn gather<T: Copy>(&self, source: &[T], width: usize, fill: &[T]) -> Vec<T> {
        let channels = fill.len();
        let mut output =
            Vec::with_capacity(self.rows.len() * self.columns.len() * channels);
        let blank_row = fill.repeat(self.columns.len());
        let run = Run::find(&self.columns);
        for row in &self.rows {
            let Some(y) = row else {
                output.extend_from_slice(&blank_row);
                continue;
            };
            let line = &source[y * width * channels..][..width * channels];
            if let Some(run) = &run {
                output.extend_from_slice(&blank_row[..run.before * channels]);
                let copied = &line[run.source * channels..][..run.length * channels];
                output.extend_from_slice(copied);
                output.extend_from_slice(&blank_row[..run.after * channels]);
                continue;
            }
            for column in &self.columns {
                let pixel = match column {
                    Some(x) => &line[x * channels..][..channels],
                    None => fill,
                };
                output.extend_from_slice(pixel);
            }
        }
        output
    }
}

/// Columns that are one run of the input's columns between two filled margins. This is
/// the most frequent case, and such a run can be copied at once.
struct Run {
    /// Filled columns before the run.
    before: usize,
    /// The first source column.
    source: usize,
    length: usize,
    /// Filled columns after the run.
    after: usize,
}

impl Run {
    fn find(columns: &SourceIndices) -> Option<Self> {
        let before = columns.iter().take_while(|c| c.is_none()).count();
        let source = columns.get(before).copied().flatten()?;
        let rest = &columns[before..];
        let length =
            rest.iter().zip(source..).take_while(|(c, n)| **c == Some(*n)).count();
        let after = rest.len() - length;
        let only_fill_follows = rest[length..].iter().all(Option::is_none);
        only_fill_follows.then_some(Self { before, source, length, after })
    }
}

/// The range of sources, at least one and within `0..n`.
fn used(sources: &SourceIndices, n: usize) -> Range<usize> {
    let first = sources.iter().flatten().min().copied().unwrap_or(0);
    let last = sources.iter().flatten().max().copied().unwrap_or(first);
    first..(last + 1).min(n)
}

/// 0 to n - 1.
pub(super) fn identity(n: usize) -> SourceIndices {
    (0..n).map(Some).collect()
}

/// n - 1 to 0.
pub(super) fn reversed(n: usize) -> SourceIndices {
    (0..n).rev().map(Some).collect()
}

/// `length` indices from `start` on. Those outside 0 to n - 1 are `None`.
pub(super) fn window(n: usize, start: isize, length: usize) -> SourceIndices {
    let index = |i: usize| {
        let source = usize::try_from(start.checked_add_unsigned(i)?).ok()?;
        (source < n).then_some(source)
    };
    (0..length).map(index).collect()
}

/// 0 to n - 1, with this many indices before and after.
pub(super) fn padded(
    n: usize,
    before: usize,
    after: usize,
    mode: PaddingMode,
) -> SourceIndices {
    let range = -(before as isize)..(n + after) as isize;
    range.map(|i| padding_source(i, n as isize, mode)).collect()
}

/// The source of index `i`, which may be outside 0 to n - 1; `None` for the fill.
fn padding_source(i: isize, n: isize, mode: PaddingMode) -> Option<usize> {
    let source = match mode {
        PaddingMode::Constant if (0..n).contains(&i) => i,
        PaddingMode::Constant => return None,
        PaddingMode::Edge => i.clamp(0, n - 1),
        PaddingMode::Symmetric => {
            let i = i.rem_euclid(2 * n);
            i.min(2 * n - 1 - i)
        }
        PaddingMode::Reflect if n == 1 => 0,
        // The outermost pixels are not repeated, so the period is shorter by two.
        PaddingMode::Reflect => {
            let i = i.rem_euclid(2 * n - 2);
            i.min(2 * n - 2 - i)
        }
    };
    Some(source as usize)
}
