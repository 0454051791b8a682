//! Resampling as Pillow does it, to the bit.
//!
//! torchvision resizes PIL images with Pillow's `Image.resize`, so users compare with its
//! results. It is a separable convolution: first along the rows, rounded to whole levels,
//! and then along the columns. The weights are in fixed point with 22 fractional bits. When
//! an image shrinks, the filter is widened by the scale, which is the antialiasing. Crates
//! with 16-bit weights (fast_image_resize 6.1 was measured) differ by a level in up to 2 %
//! of the pixels, and in more where they filter columns first. Source: Pillow's
//! documentation of its filters ("Concepts: Filters"), checked against its results in
//! golden.rs.

mod axis;
mod filter;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::ops::Range;
use std::rc::Rc;

use self::axis::{Axis, PRECISION};
pub(in crate::transform) use self::filter::Filter;
use crate::Result;
use crate::transform::argument_types::Interpolation;
use crate::transform::pixel_map::{PixelMap, SourceIndices};
use crate::transform::sample::{Image, Sample, elements};
use crate::transform::view::View;

/// Resizes the image to this size.
pub(in crate::transform) fn resize(
    image: Image,
    height: usize,
    width: usize,
    interpolation: Interpolation,
) -> Result<Image> {
    resize_part(image, [height, width], [0..height, 0..width], interpolation)
}

/// Resizes a part of an image, as if the rest were not there.
pub(in crate::transform) fn resize_window(
    image: &Image,
    [rows, columns]: [Range<usize>; 2],
    [height, width]: [usize; 2],
    interpolation: Interpolation,
) -> Result<Image> {
    elements(image.channels, height, width)?;
    let window = View::of(image).part(rows, columns)?;
    let Some(filter) = Filter::new(interpolation) else {
        return nearest(window.to_image(), [height, width], [0..height, 0..width]);
    };
    if height == window.height && width == window.width {
        return Ok(window.to_image());
    }
    filtered(&window, [height, width], [0..height, 0..width], &filter)
}

/// Some rows and columns of the image resized to `[height, width]`, without computing the
/// others.
pub(in crate::transform) fn resize_part(
    image: Image,
    [height, width]: [usize; 2],
    [rows, columns]: [Range<usize>; 2],
    interpolation: Interpolation,
) -> Result<Image> {
    elements(image.channels, height, width)?;
    let Some(filter) = Filter::new(interpolation) else {
        return nearest(image, [height, width], [rows, columns]);
    };
    let is_whole = rows.len() == height && columns.len() == width;
    if is_whole && height == image.height && width == image.width {
        return Ok(image);
    }
    filtered(&View::of(&image), [height, width], [rows, columns], &filter)
}

/// Some rows and columns of an image that is filtered to `[height, width]`.
fn filtered(
    image: &View,
    size: [usize; 2],
    window: [Range<usize>; 2],
    filter: &Filter,
) -> Result<Image> {
    Resizing::new([image.height, image.width], size, window, filter).apply(image, [0, 0])
}

/// How some rows and columns of a resized image are computed.
pub(in crate::transform) struct Resizing {
    vertical: Rc<Axis>,
    horizontal: Rc<Axis>,
    /// Whether the columns are filtered first.
    columns_first: bool,
}

impl Resizing {
    /// For these rows and columns of an image that is filtered from and to these heights and
    /// widths.
    pub(in crate::transform) fn new(
        [from_height, from_width]: [usize; 2],
        [height, width]: [usize; 2],
        [rows, columns]: [Range<usize>; 2],
        filter: &Filter,
    ) -> Self {
        Self {
            vertical: Axis::new(from_height, height, rows, filter),
            horizontal: Axis::new(from_width, width, columns, filter),
            columns_first: columns_first([from_height, from_width], [height, width]),
        }
    }

    /// The rows and columns of the image that are needed.
    pub(in crate::transform) fn inputs(&self) -> [Range<usize>; 2] {
        [self.vertical.inputs(), self.horizontal.inputs()]
    }

    /// Computes them from a part of the image that has those rows and columns, and begins at
    /// this row and this column.
    pub(in crate::transform) fn apply(
        self,
        part: &View,
        [top, left]: [usize; 2],
    ) -> Result<Image> {
        let horizontal = self.horizontal.moved(left);
        if self.columns_first {
            let vertical = self.vertical.moved(top);
            let image = filter_columns(part, &vertical)?;
            return filter_rows(&View::of(&image), 0..image.height, &horizontal);
        }
        let rows = self.vertical.inputs();
        let vertical = self.vertical.moved(rows.start);
        let image = filter_rows(part, rows.start - top..rows.end - top, &horizontal)?;
        filter_columns(&View::of(&image), &vertical)
    }
}

/// Resizes the part of an image between these coordinates of rows and columns, which need
/// not be whole, like the `box` of Pillow's `Image.resize`. Not for nearest.
pub(in crate::transform) fn resize_between(
    image: &Image,
    [rows, columns]: [Range<f64>; 2],
    [height, width]: [usize; 2],
    filter: &Filter,
) -> Result<Image> {
    let horizontal = Axis::of_part(image.width, columns, width, 0..width, filter);
    let vertical = Axis::of_part(image.height, rows, height, 0..height, filter);
    let image = filter_rows(&View::of(image), 0..image.height, &horizontal)?;
    filter_columns(&View::of(&image), &vertical)
}

/// Whether Pillow filters the columns first: version 13 does if that saves much work,
/// earlier ones never do.
fn columns_first(
    [from_height, from_width]: [usize; 2],
    [height, width]: [usize; 2],
) -> bool {
    let saved_rows = from_height as i64 - height as i64;
    let saved_columns = from_width as i64 - width as i64;
    saved_rows > 0.max(2 * saved_columns)
}

/// A weighted sum of levels, rounded to a level.
#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The initial value of a sum, for rounding.
const HALF: i32 = 1 << (PRECISION - 1);

/// Filters some of the rows to another width.
fn filter_rows(image: &View, rows: Range<usize>, axis: &Axis) -> Result<Image> {
    let View { channels, stride, .. } = *image;
    let new_width = axis.first.len();
    let mut pixels = vec![0; elements(channels, rows.len(), new_width)?];
    let source = image.rows_from(rows.start);
    match channels {
        3 => filter_rgb_rows(source, stride, &mut pixels, axis),
        _ => {
            let rows = source.chunks(stride);
            for (row, output) in rows.zip(pixels.chunks_exact_mut(new_width)) {
                filter_gray_row(row, output, axis);
            }
        }
    }
    Ok(Image { width: new_width, height: rows.len(), channels, pixels })
}

/// Each output row is a weighted sum of rows.
fn filter_columns(image: &View, axis: &Axis) -> Result<Image> {
    let View { width, channels, stride, .. } = *image;
    let new_height = axis.first.len();
    let mut pixels = vec![0; elements(channels, new_height, width)?];
    for (i, output) in pixels.chunks_exact_mut(width * channels).enumerate() {
        let (first, weights) = axis.output(i);
        add_weighted_rows(image.rows_from(first), stride, weights, output);
    }
    Ok(Image { height: new_height, width, channels, pixels })
}

/// Filters RGB rows, each of which starts `stride` bytes after the previous one, as long
/// as there is room in `output`. There may be bytes after the last row.
fn filter_rgb_rows(source: &[u8], stride: usize, output: &mut [u8], axis: &Axis) {
    #[cfg(target_arch = "x86_64")]
    if let Some(vnni) = x86_64::Vnni::detect()
        && x86_64::fit_in_quads(&axis.weights)
    {
        vnni.filter_rgb_rows(source, stride, output, axis);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86_64::Avx2::detect() {
        avx2.filter_rgb_rows(source, stride, output, axis);
        return;
    }
    let rows = source.chunks(stride);
    for (row, output) in rows.zip(output.chunks_exact_mut(3 * axis.first.len())) {
        filter_row::<3>(row, output, axis);
    }
}

/// Filters a row with one channel.
fn filter_gray_row(row: &[u8], output: &mut [u8], axis: &Axis) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86_64::Avx2::detect() {
        avx2.filter_gray_row(row, output, axis);
        return;
    }
    filter_row::<1>(row, output, axis);
}

/// Filters a row of pixels with `CHANNELS` levels each.
#[inline(always)]
fn filter_row<const CHANNELS: usize>(row: &[u8], output: &mut [u8], axis: &Axis) {
    let pixels = row.as_chunks::<CHANNELS>().0;
    let outputs = output.as_chunks_mut::<CHANNELS>().0;
    for (i, output) in outputs.iter_mut().enumerate() {
        let (first, weights) = axis.output(i);
        let mut sums = [HALF; CHANNELS];
        for (pixel, &weight) in pixels[first..].iter().zip(weights) {
            for (sum, &x) in sums.iter_mut().zip(pixel) {
                *sum = sum.wrapping_add(i32::from(x).wrapping_mul(weight));
            }
        }
        *output = sums.map(level);
    }
}

/// Sums rows with these weights. `rows` holds `output.len()` levels for each weight, each
/// row `stride` bytes after the previous one, and possibly more.
fn add_weighted_rows(rows: &[u8], stride: usize, weights: &[i32], output: &mut [u8]) {
    let width = output.len();
    #[cfg(target_arch = "x86_64")]
    let done = x86_64::Avx2::detect()
        .map_or(0, |avx2| avx2.add_weighted_rows(rows, stride, weights, output));
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for column in done..width {
        let mut sum = HALF;
        for (row, weight) in rows.chunks(stride).zip(weights) {
            sum = sum.wrapping_add(i32::from(row[column]).wrapping_mul(*weight));
        }
        output[column] = level(sum);
    }
}

/// The pixel that contains the centre of each output pixel.
fn nearest(
    image: Image,
    [height, width]: [usize; 2],
    [rows, columns]: [Range<usize>; 2],
) -> Result<Image> {
    let rows = nearest_sources(image.height, height, rows);
    let columns = nearest_sources(image.width, width, columns);
    let map = PixelMap::without_fill(rows, columns);
    map.apply(&Sample::Image(image))?.into_image()
}

/// The inputs of a range of `to` outputs.
fn nearest_sources(from: usize, to: usize, outputs: Range<usize>) -> SourceIndices {
    // As in Pillow, the centres are added up, not multiplied: rounding decides when one
    // is on a border.
    let scale = from as f64 / to as f64;
    let mut center = scale * 0.5;
    let mut sources = Vec::with_capacity(outputs.len());
    for i in 0..outputs.end {
        if i >= outputs.start {
            sources.push(Some((center as usize).min(from - 1)));
        }
        center += scale;
    }
    sources
}

#[cfg(test)]
mod tests;
