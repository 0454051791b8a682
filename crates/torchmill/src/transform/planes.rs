//! Rearranging pixels: what works on bytes and floats alike.

use super::image::{Form, Image, Kind, Sample, Tensor, elements};
use super::types::{Fill, PaddingMode};
use crate::Result;

/// For each row (or column) of an output, the row of the input that goes there, or `None`
/// for the fill.
pub(super) type Sources = Vec<Option<usize>>;

/// A sample whose pixel (y, x) is the input's at (`rows[y]`, `columns[x]`), the fill
/// where there is none.
pub(super) fn rearranged(
    sample: &Sample,
    rows: &Sources,
    columns: &Sources,
    fill: &Fill,
) -> Result<Sample> {
    let [channels, ..] = sample.shape();
    let (height, width) = (rows.len(), columns.len());
    elements(channels, height, width)?;
    Ok(match sample {
        Sample::Image(image) => {
            let fill = fill.levels(channels)?;
            let pixels = gathered(&image.pixels, image.width, rows, columns, &fill);
            Sample::Image(Image { width, height, channels, pixels })
        }
        Sample::Tensor(tensor) => {
            let [_, h, w] = tensor.shape;
            let mut values = Vec::with_capacity(channels * height * width);
            for (plane, fill) in
                tensor.values.chunks_exact(h * w).zip(fill.channels(channels)?)
            {
                values.append(&mut gathered(plane, w, rows, columns, &[fill as f32]));
            }
            Sample::Tensor(Tensor { shape: [channels, height, width], values })
        }
    })
}

/// Pixels of `fill.len()` values each, row by row.
fn gathered<T: Copy>(
    from: &[T],
    width: usize,
    rows: &Sources,
    columns: &Sources,
    fill: &[T],
) -> Vec<T> {
    let channels = fill.len();
    let mut to = Vec::with_capacity(rows.len() * columns.len() * channels);
    let blank: Vec<T> = columns.iter().flat_map(|_| fill).copied().collect();
    // Most often the columns are a run of the input's between two margins: that is copied
    // whole.
    let left = columns.iter().take_while(|c| c.is_none()).count();
    let first = columns.get(left).copied().flatten();
    let run = columns[left..]
        .iter()
        .zip(first.unwrap_or(0)..)
        .take_while(|(c, n)| **c == Some(*n))
        .count();
    let plain = columns[left + run..].iter().all(Option::is_none);
    for row in rows {
        let Some(y) = row else {
            to.extend_from_slice(&blank);
            continue;
        };
        let line = &from[y * width * channels..][..width * channels];
        match first {
            Some(first) if plain => {
                to.extend_from_slice(&blank[..left * channels]);
                to.extend_from_slice(&line[first * channels..][..run * channels]);
                to.extend_from_slice(&blank[(left + run) * channels..]);
            }
            _ => {
                for column in columns {
                    to.extend_from_slice(
                        column.map_or(fill, |x| &line[x * channels..][..channels]),
                    );
                }
            }
        }
    }
    to
}

/// All of 0 to n - 1.
pub(super) fn all(n: usize) -> Sources {
    (0..n).map(Some).collect()
}

/// `length` in a row from `start` on, which may lie outside 0 to n - 1.
pub(super) fn window(n: usize, start: isize, length: usize) -> Sources {
    (0..length)
        .map(|i| start.checked_add_unsigned(i)?.try_into().ok().filter(|&i| i < n))
        .collect()
}

/// 0 to n - 1 with this many before and after.
pub(super) fn padded(
    n: usize,
    before: usize,
    after: usize,
    mode: PaddingMode,
) -> Sources {
    let (n, before, after) = (n as isize, before as isize, after as isize);
    let mirrored = |i: isize, period: isize| {
        let i = i.rem_euclid(period);
        i.min(period - 1 - i)
    };
    let source = |i: isize| match mode {
        PaddingMode::Constant => Some(i).filter(|i| (0..n).contains(i)),
        PaddingMode::Edge => Some(i.clamp(0, n - 1)),
        PaddingMode::Symmetric => Some(mirrored(i, 2 * n)),
        PaddingMode::Reflect if n == 1 => Some(0),
        // Mirrored about the outermost pixel: the second half of the period is shorter by
        // two.
        PaddingMode::Reflect => {
            let i = i.rem_euclid(2 * n - 2);
            Some(i.min(2 * n - 2 - i))
        }
    };
    (-before..n + after).map(|i| source(i).map(|i| i as usize)).collect()
}

/// Half of an even or odd difference, rounded as Python rounds: halves to the even
/// neighbour.
pub(super) fn half(difference: isize) -> isize {
    (difference as f64 / 2.0).round_ties_even() as isize
}

/// Refuses fill values that do not fit the channels, before there is an image.
pub(super) fn check_fill(fill: &Fill, input: Form) -> Result<()> {
    match input.kind {
        Kind::Image => fill.levels(input.channels).map(|_| ()),
        Kind::Tensor => fill.channels(input.channels).map(|_| ()),
    }
}
