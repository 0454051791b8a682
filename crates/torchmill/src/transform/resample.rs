//! Resampling as Pillow does it, to the bit.
//!
//! torchvision resizes PIL images with Pillow's `Image.resize`, so its result is what users compare with. It is
//! a separable convolution: along the rows, rounded to whole levels, and then along the columns; weights in fixed
//! point with 22 bits after the point; the filter widened by the scale when shrinking, which is the antialiasing. Crates with
//! 16-bit weights (fast_image_resize 6.1 was measured) differ by a level in up to 2 % of the pixels, and more
//! where they filter columns first. Source: Pillow's documentation of its filters ("Concepts: Filters"), checked
//! against its results in golden.rs.

use std::f64::consts::PI;
use std::ops::Range;

use super::image::{Image, Sample, elements};
use super::planes::rearranged;
use super::types::{Fill, Interpolation};
use crate::Result;

/// Bits after the point of a weight: 8 for a level and 2 for sums that overshoot remain of 32.
const PRECISION: u32 = 22;

/// The image at this size.
pub(super) fn resized(image: Image, height: usize, width: usize, how: Interpolation) -> Result<Image> {
    part(image, [height, width], [0..height, 0..width], how)
}

/// These rows and columns of the image at this size `[height, width]`: what a crop leaves need only be made.
pub(super) fn part(
    image: Image,
    [height, width]: [usize; 2],
    [rows, columns]: [Range<usize>; 2],
    how: Interpolation,
) -> Result<Image> {
    elements(image.channels, height, width)?;
    let Some(filter) = Filter::new(how) else {
        return nearest(image, [height, width], [rows, columns]);
    };
    let whole = (rows.len(), columns.len()) == (height, width);
    if whole && (height, width) == (image.height, image.width) {
        return Ok(image);
    }
    // Pillow 13 began to shrink columns first where that saves much; earlier ones always begin with the rows.
    let saved = |from: usize, to: usize| from as i64 - to as i64;
    let columns_first = saved(image.height, height) > 0.max(2 * saved(image.width, width));
    let mut vertical = Axis::new(image.height, height, &filter).part(rows);
    let horizontal = Axis::new(image.width, width, &filter).part(columns);
    if columns_first {
        let image = down(&image, &vertical)?;
        return across(&image, 0..image.height, &horizontal);
    }
    let needed = vertical.inputs();
    vertical.first.iter_mut().for_each(|first| *first -= needed.start);
    down(&across(&image, needed, &horizontal)?, &vertical)
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
///
/// All have the same number of weights, some of them 0: a loop that ends now here, now there is what a processor
/// predicts badly.
struct Axis {
    first: Vec<usize>,
    /// How many weights each output has; no more than there are inputs.
    taps: usize,
    weights: Vec<i32>,
}

impl Axis {
    fn new(from: usize, to: usize, filter: &Filter) -> Self {
        let scale = from as f64 / to as f64;
        let widened = scale.max(1.0);
        let reach = filter.support * widened;
        // Casts to unsigned integers stop at 0.
        let ends =
            |center: f64| ((center - reach + 0.5) as usize, ((center + reach + 0.5) as usize).min(from));
        let center = |i: usize| (i as f64 + 0.5) * scale;
        let length = |i: usize| {
            let (first, last) = ends(center(i));
            last.saturating_sub(first)
        };
        let taps = (0..to).map(length).max().unwrap_or(0);
        let mut axis = Self { first: Vec::with_capacity(to), taps, weights: vec![0; taps * to] };
        for (i, place) in axis.weights.chunks_exact_mut(taps.max(1)).enumerate() {
            let center = center(i);
            let (first, last) = ends(center);
            let shape = |x: usize| (filter.shape)((x as f64 - center + 0.5) * (1.0 / widened));
            let weights: Vec<f64> = (first..last).map(shape).collect();
            let sum: f64 = weights.iter().sum();
            let sum = if sum == 0.0 { 1.0 } else { sum };
            // At the far end there are not so many inputs after the first one: the zeros come before it.
            let start = first.min(from - taps);
            for (place, w) in place[first - start..].iter_mut().zip(&weights) {
                *place = (w / sum * f64::from(1 << PRECISION)).round() as i32;
            }
            axis.first.push(start);
        }
        axis
    }

    /// The same for some of the outputs.
    fn part(&self, outputs: Range<usize>) -> Self {
        let weights = self.weights[outputs.start * self.taps..outputs.end * self.taps].to_vec();
        Self { first: self.first[outputs].to_vec(), taps: self.taps, weights }
    }

    /// What the outputs are made of.
    fn inputs(&self) -> Range<usize> {
        let end = self.first.iter().max().map_or(0, |last| last + self.taps);
        self.first.iter().min().copied().unwrap_or(0)..end
    }

    #[inline(always)]
    fn of(&self, i: usize) -> (usize, &[i32]) {
        (self.first[i], &self.weights[i * self.taps..][..self.taps])
    }
}

/// A weighted sum of levels, rounded, as a level.
#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

/// Some of the rows, each filtered to another width.
fn across(image: &Image, rows: Range<usize>, axis: &Axis) -> Result<Image> {
    let Image { width, channels, .. } = *image;
    let to = axis.first.len();
    let mut pixels = vec![0; elements(channels, rows.len(), to)?];
    let from = &image.pixels[rows.start * width * channels..rows.end * width * channels];
    if channels == 3 {
        let pairs = from.chunks(6 * width).zip(pixels.chunks_mut(6 * to));
        // Two rows at once, four numbers a pixel with one of them idle, fill a vector register.
        let mut wide = vec![[0; 8]; width];
        let needed = axis.inputs();
        // The last row may be alone; its companion comes to nothing.
        let mut none = vec![0; 3 * to];
        for (from, place) in pairs {
            let (upper, lower) = from.split_at(3 * width);
            side_by_side(upper, lower, &mut wide, needed.clone());
            let (upper, lower) = place.split_at_mut(3 * to);
            two_rows(&wide, upper, if lower.is_empty() { &mut none } else { lower }, axis);
        }
    } else {
        for (from, to) in from.chunks_exact(width).zip(pixels.chunks_exact_mut(to)) {
            row_of_one(from, to, axis);
        }
    }
    Ok(Image { width: to, height: rows.len(), channels, pixels })
}

/// Each output row a sum of weighted rows.
fn down(image: &Image, axis: &Axis) -> Result<Image> {
    let to = axis.first.len();
    let mut pixels = vec![0; elements(image.channels, to, image.width)?];
    let row = image.width * image.channels;
    for (i, to) in pixels.chunks_exact_mut(row).enumerate() {
        let (first, weights) = axis.of(i);
        weighted_rows(&image.pixels[first * row..], weights, to);
    }
    Ok(Image { height: to, width: image.width, channels: image.channels, pixels })
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

/// Puts these of two rows' pixels beside each other, four bytes for each; the fourth is of no meaning.
fn side_by_side(upper: &[u8], lower: &[u8], wide: &mut [[u8; 8]], columns: Range<usize>) {
    // A last row that is alone is filtered twice.
    let lower = if lower.is_empty() { upper } else { lower };
    // As numbers, because bytes would be copied one by one.
    let four = |pixel: &[u8]| u64::from(pixel.first_chunk().map_or(0, |four| u32::from_le_bytes(*four)));
    let fours = |row: &'_ [u8]| 3 * columns.start..row.len().min(3 * columns.end + 1);
    let pixels = upper[fours(upper)].windows(4).step_by(3).zip(lower[fours(lower)].windows(4).step_by(3));
    for (wide, (upper, lower)) in wide[columns.clone()].iter_mut().zip(pixels) {
        *wide = (four(upper) | four(lower) << 32).to_le_bytes();
    }
    // There are but three bytes left for a row's last pixel.
    if let (Some(wide), Some(&[a, b, c]), Some(&[d, e, f])) =
        (wide.last_mut(), upper.last_chunk(), lower.last_chunk())
    {
        *wide = [a, b, c, 0, d, e, f, 0];
    }
}

/// Filters two rows that lie side by side in `from`.
fn two_rows(from: &[[u8; 8]], upper: &mut [u8], lower: &mut [u8], axis: &Axis) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { two_rows_avx2(from, upper, lower, axis) };
    }
    for (i, &first) in axis.first.iter().enumerate() {
        let weights = &axis.weights[i * axis.taps..][..axis.taps];
        let mut sums = [HALF; 8];
        for (pixels, &weight) in from[first..].iter().zip(weights) {
            for (sum, &x) in sums.iter_mut().zip(pixels) {
                *sum = sum.wrapping_add(i32::from(x).wrapping_mul(weight));
            }
        }
        let levels = sums.map(level);
        put(upper, i, [levels[0], levels[1], levels[2], levels[3]]);
        put(lower, i, [levels[4], levels[5], levels[6], levels[7]]);
    }
}

/// The same, by hand: compilers do not see that the eight sums are one register.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn two_rows_avx2(from: &[[u8; 8]], upper: &mut [u8], lower: &mut [u8], axis: &Axis) {
    use std::arch::x86_64::*;

    for (i, &first) in axis.first.iter().enumerate() {
        let weights = &axis.weights[i * axis.taps..][..axis.taps];
        let mut sums = _mm256_set1_epi32(HALF);
        for (&pixels, &weight) in from[first..].iter().zip(weights) {
            let x = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(pixels)));
            sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(x, _mm256_set1_epi32(weight)));
        }
        // Narrowing saturates, first to 16 bits and then to 0 to 255.
        let levels = _mm256_srai_epi32::<{ PRECISION as i32 }>(sums);
        let words = _mm256_packs_epi32(levels, levels);
        let bytes = _mm256_packus_epi16(words, words);
        put(upper, i, _mm_cvtsi128_si32(_mm256_castsi256_si128(bytes)).to_le_bytes());
        put(lower, i, _mm_cvtsi128_si32(_mm256_extracti128_si256::<1>(bytes)).to_le_bytes());
    }
}

/// Writes pixel `i` of a row. The fourth byte is written over by the next pixel.
#[inline(always)]
fn put(row: &mut [u8], i: usize, pixel: [u8; 4]) {
    let place = &mut row[3 * i..];
    match place.first_chunk_mut::<4>() {
        Some(place) => *place = pixel,
        None => place.copy_from_slice(&pixel[..place.len()]),
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
    fn weighted_rows(rows: &[u8], weights: &[i32], to: &mut [u8]) {
        const BLOCK: usize = 32;
        let row = to.len();
        let mut blocks = to.chunks_exact_mut(BLOCK);
        let mut at = 0;
        for to in &mut blocks {
            // Few enough to stay in registers.
            let mut sums = [HALF; BLOCK];
            for (row, &weight) in rows.chunks_exact(row).zip(weights) {
                for (sum, &x) in sums.iter_mut().zip(&row[at..at + BLOCK]) {
                    *sum = sum.wrapping_add(i32::from(x).wrapping_mul(weight));
                }
            }
            to.copy_from_slice(&sums.map(level));
            at += BLOCK;
        }
        for (to, column) in blocks.into_remainder().iter_mut().zip(at..) {
            let levels = rows.chunks_exact(row).map(|row| row[column]).zip(weights);
            *to = level(levels.fold(HALF, |sum, (x, &w)| sum.wrapping_add(i32::from(x).wrapping_mul(w))));
        }
    }
}

/// The pixel that each output's center falls into.
fn nearest(image: Image, [height, width]: [usize; 2], part: [Range<usize>; 2]) -> Result<Image> {
    let sources = |from: usize, to: usize, part: Range<usize>| {
        // Added up rather than multiplied, as in Pillow: where a center falls on a border, rounding decides.
        let scale = from as f64 / to as f64;
        let centers = std::iter::successors(Some(scale * 0.5), |x| Some(x + scale));
        let all = centers.take(to).map(|x| Some((x as usize).min(from - 1)));
        all.skip(part.start).take(part.len()).collect()
    };
    let [rows, columns] = part;
    let (rows, columns) = (sources(image.height, height, rows), sources(image.width, width, columns));
    rearranged(&Sample::Image(image), &rows, &columns, &Fill::zero())?.into_image()
}
