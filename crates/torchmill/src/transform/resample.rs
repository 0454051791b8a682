//! Resampling as Pillow does it, to the bit.
//!
//! torchvision resizes PIL images with Pillow's `Image.resize`, so its result is what users compare with. It is
//! a separable convolution: along the rows, rounded to whole levels, and then along the columns; weights in fixed
//! point with 22 bits after the point; the filter widened by the scale when shrinking, which is the antialiasing. Crates with
//! 16-bit weights (fast_image_resize 6.1 was measured) differ by a level in up to 2 % of the pixels, and more
//! where they filter columns first. Source: Pillow's documentation of its filters ("Concepts: Filters"), checked
//! against its results in golden.rs.

use std::f64::consts::PI;

use super::image::{Image, Sample, elements};
use super::planes::rearranged;
use super::types::{Fill, Interpolation};
use crate::Result;

/// Bits after the point of a weight: 8 for a level and 2 for sums that overshoot remain of 32.
const PRECISION: u32 = 22;

/// The image at this size.
pub(super) fn resized(image: Image, height: usize, width: usize, how: Interpolation) -> Result<Image> {
    elements(image.channels, height, width)?;
    let Some(filter) = Filter::new(how) else {
        return nearest(image, height, width);
    };
    // Pillow 13 began to shrink columns first where that saves much; earlier ones always begin with the rows.
    let saved = |from: usize, to: usize| from as i64 - to as i64;
    let columns_first = saved(image.height, height) > 0.max(2 * saved(image.width, width));
    if columns_first {
        return across(down(image, height, &filter)?, width, &filter);
    }
    down(across(image, width, &filter)?, height, &filter)
}

struct Filter {
    /// Its value at a distance in pixels.
    shape: fn(f64) -> f64,
    /// Where it ends.
    support: f64,
}

impl Filter {
    /// None for the nearest pixel.
    fn new(how: Interpolation) -> Option<Self> {
        let filter = |support, shape| Some(Self { shape, support });
        match how {
            Interpolation::Nearest => None,
            Interpolation::Box => filter(0.5, |x| if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }),
            Interpolation::Bilinear => filter(1.0, |x| (1.0 - x.abs()).max(0.0)),
            Interpolation::Hamming => filter(1.0, hamming),
            Interpolation::Bicubic => filter(2.0, bicubic),
            Interpolation::Lanczos => filter(3.0, lanczos),
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

fn hamming(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 { sinc(x) * (0.54 + 0.46 * (PI * x).cos()) } else { 0.0 }
}

/// Keys' cubic convolution with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// For each output along one axis: the first input it is made of and the weights of those from there on.
struct Axis {
    first: Vec<usize>,
    /// Where each output's weights end in `weights`.
    end: Vec<usize>,
    weights: Vec<i32>,
}

impl Axis {
    fn new(from: usize, to: usize, filter: &Filter) -> Self {
        let scale = from as f64 / to as f64;
        let widened = scale.max(1.0);
        let reach = filter.support * widened;
        let mut axis =
            Self { first: Vec::with_capacity(to), end: Vec::with_capacity(to), weights: Vec::new() };
        for i in 0..to {
            let center = (i as f64 + 0.5) * scale;
            // Casts to unsigned integers stop at 0.
            let first = (center - reach + 0.5) as usize;
            let last = ((center + reach + 0.5) as usize).min(from);
            let shape = |x: usize| (filter.shape)((x as f64 - center + 0.5) * (1.0 / widened));
            let weights: Vec<f64> = (first..last).map(shape).collect();
            let sum: f64 = weights.iter().sum();
            let sum = if sum == 0.0 { 1.0 } else { sum };
            let fixed = |w: &f64| (w / sum * f64::from(1 << PRECISION)).round() as i32;
            axis.weights.extend(weights.iter().map(fixed));
            axis.first.push(first);
            axis.end.push(axis.weights.len());
        }
        axis
    }

    fn of(&self, i: usize) -> (usize, &[i32]) {
        let start = if i == 0 { 0 } else { self.end[i - 1] };
        (self.first[i], &self.weights[start..self.end[i]])
    }
}

/// A weighted sum of levels, rounded, as a level.
#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

/// The same rows, each filtered to another width.
fn across(image: Image, to: usize, filter: &Filter) -> Result<Image> {
    let Image { width, height, channels, .. } = image;
    if to == width {
        return Ok(image);
    }
    let axis = Axis::new(width, to, filter);
    let mut pixels = vec![0; elements(channels, height, to)?];
    if channels == 3 {
        let rows = image.pixels.chunks(6 * width).zip(pixels.chunks_mut(6 * to));
        // Two rows at once, four numbers a pixel with one of them idle, fill a vector register.
        let mut wide = vec![[0; 8]; width];
        for (from, to) in rows {
            for (row, from) in from.chunks_exact(3 * width).enumerate() {
                for (wide, pixel) in wide.iter_mut().zip(from.chunks_exact(3)) {
                    for (wide, &x) in wide[4 * row..].iter_mut().zip(pixel) {
                        *wide = x.into();
                    }
                }
            }
            two_rows(&wide, to, &axis);
        }
    } else {
        for (from, to) in image.pixels.chunks_exact(width).zip(pixels.chunks_exact_mut(to)) {
            row_of_one(from, to, &axis);
        }
    }
    Ok(Image { width: to, height, channels, pixels })
}

/// Each output row a sum of weighted rows.
fn down(image: Image, to: usize, filter: &Filter) -> Result<Image> {
    if to == image.height {
        return Ok(image);
    }
    let axis = Axis::new(image.height, to, filter);
    let mut pixels = vec![0; elements(image.channels, to, image.width)?];
    let row = image.width * image.channels;
    let mut sums = vec![0; row];
    for (i, to) in pixels.chunks_exact_mut(row).enumerate() {
        let (first, weights) = axis.of(i);
        weighted_rows(&image.pixels[first * row..], weights, &mut sums, to);
    }
    Ok(Image { height: to, pixels, ..image })
}

/// Defines a function that is compiled a second time for AVX2 and runs that where the processor has it: the
/// 32-bit multiplication that all of this is made of has no vector instruction in plain x86-64.
macro_rules! vectored {
    ($(#[$about:meta])* fn $name:ident($($arg:ident : $type:ty),*) $body:block) => {
        $(#[$about])*
        fn $name($($arg: $type),*) {
            #[inline(always)]
            fn plain($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn with_avx2($($arg: $type),*) {
                    plain($($arg),*);
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { with_avx2($($arg),*) };
                }
            }
            plain($($arg),*);
        }
    };
}

vectored! {
    /// `to` is two rows, or the last one alone.
    fn two_rows(from: &[[i32; 8]], to: &mut [u8], axis: &Axis) {
        let (upper, lower) = to.split_at_mut(3 * axis.first.len());
        let mut lower = lower.chunks_exact_mut(3);
        for (i, upper) in upper.chunks_exact_mut(3).enumerate() {
            let (first, weights) = axis.of(i);
            let mut sums = [HALF; 8];
            for (pixels, &weight) in from[first..].iter().zip(weights) {
                for (sum, &x) in sums.iter_mut().zip(pixels) {
                    *sum = sum.wrapping_add(x.wrapping_mul(weight));
                }
            }
            let levels = sums.map(level);
            upper.copy_from_slice(&levels[..3]);
            if let Some(lower) = lower.next() {
                lower.copy_from_slice(&levels[4..7]);
            }
        }
    }
}

vectored! {
    fn row_of_one(from: &[u8], to: &mut [u8], axis: &Axis) {
        for (i, to) in to.iter_mut().enumerate() {
            let (first, weights) = axis.of(i);
            let add = |sum: i32, (&x, &w): (&u8, &i32)| sum.wrapping_add(i32::from(x).wrapping_mul(w));
            *to = level(from[first..].iter().zip(weights).fold(HALF, add));
        }
    }
}

vectored! {
    /// `rows` holds rows of `to.len()` levels, one for each weight and perhaps more.
    fn weighted_rows(rows: &[u8], weights: &[i32], sums: &mut [i32], to: &mut [u8]) {
        sums.fill(HALF);
        for (row, &weight) in rows.chunks_exact(to.len()).zip(weights) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum = sum.wrapping_add(i32::from(x).wrapping_mul(weight));
            }
        }
        for (to, &sum) in to.iter_mut().zip(sums.iter()) {
            *to = level(sum);
        }
    }
}

/// The pixel that each output's center falls into.
fn nearest(image: Image, height: usize, width: usize) -> Result<Image> {
    let sources = |from: usize, to: usize| {
        // Added up rather than multiplied, as in Pillow: where a center falls on a border, rounding decides.
        let scale = from as f64 / to as f64;
        let centers = std::iter::successors(Some(scale * 0.5), |x| Some(x + scale));
        centers.take(to).map(|x| Some((x as usize).min(from - 1))).collect()
    };
    let (rows, columns) = (sources(image.height, height), sources(image.width, width));
    rearranged(&Sample::Image(image), &rows, &columns, &Fill::zero())?.into_image()
}
