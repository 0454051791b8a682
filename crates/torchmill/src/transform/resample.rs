//! Resampling as Pillow does it, to the bit.
//!
//! torchvision resizes PIL images with Pillow's `Image.resize`, so its result is what
//! users compare with. It is a separable convolution: along the rows, rounded to whole
//! levels, and then along the columns; weights in fixed point with 22 bits after the
//! point; the filter widened by the scale when shrinking, which is the antialiasing.
//! Crates with 16-bit weights (fast_image_resize 6.1 was measured) differ by a level in
//! up to 2 % of the pixels, and more where they filter columns first. Source: Pillow's
//! documentation of its filters ("Concepts: Filters"), checked against its results in
//! golden.rs.

use std::f64::consts::PI;
use std::ops::Range;

use super::image::{Image, Sample, elements};
use super::planes::rearranged;
use super::types::{Fill, Interpolation};
use crate::Result;

/// Bits after the point of a weight: 8 for a level and 2 for sums that overshoot remain
/// of 32.
const PRECISION: u32 = 22;

/// The image at this size.
pub(super) fn resized(
    image: Image,
    height: usize,
    width: usize,
    how: Interpolation,
) -> Result<Image> {
    part(image, [height, width], [0..height, 0..width], how)
}

/// These rows and columns of the image at this size `[height, width]`: what a crop leaves
/// need only be made.
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
    // Pillow 13 began to shrink columns first where that saves much; earlier ones always
    // begin with the rows.
    let saved = |from: usize, to: usize| from as i64 - to as i64;
    let columns_first =
        saved(image.height, height) > 0.max(2 * saved(image.width, width));
    let mut vertical = Axis::new(image.height, height, rows, &filter);
    let horizontal = Axis::new(image.width, width, columns, &filter);
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
            Interpolation::Box => {
                filter(0.5, |x| if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 })
            }
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

/// For each output along one axis: the first input it is made of and the weights of those
/// from there on.
///
/// All have the same number of weights, some of them 0: a loop that ends now here, now
/// there is what a processor predicts badly.
struct Axis {
    first: Vec<usize>,
    /// How many weights each output has; no more than there are inputs.
    taps: usize,
    weights: Vec<i32>,
}

impl Axis {
    /// Some of the `to` outputs that `from` inputs are filtered to.
    fn new(from: usize, to: usize, outputs: Range<usize>, filter: &Filter) -> Self {
        let scale = from as f64 / to as f64;
        let widened = scale.max(1.0);
        let reach = filter.support * widened;
        // Casts to unsigned integers stop at 0.
        let ends = |center: f64| {
            ((center - reach + 0.5) as usize, ((center + reach + 0.5) as usize).min(from))
        };
        let center = |i: usize| (i as f64 + 0.5) * scale;
        let length = |i: usize| {
            let (first, last) = ends(center(i));
            last.saturating_sub(first)
        };
        let taps = outputs.clone().map(length).max().unwrap_or(0);
        let mut axis = Self {
            first: Vec::with_capacity(outputs.len()),
            taps,
            weights: vec![0; taps * outputs.len()],
        };
        let mut weights = Vec::with_capacity(taps);
        for (i, place) in outputs.zip(axis.weights.chunks_exact_mut(taps.max(1))) {
            let center = center(i);
            let (first, last) = ends(center);
            let shape =
                |x: usize| (filter.shape)((x as f64 - center + 0.5) * (1.0 / widened));
            weights.clear();
            weights.extend((first..last).map(shape));
            let sum: f64 = weights.iter().sum();
            let sum = if sum == 0.0 { 1.0 } else { sum };
            // At the far end there are not so many inputs after the first one: the zeros
            // come before it.
            let start = first.min(from - taps);
            for (place, w) in place[first - start..].iter_mut().zip(&weights) {
                // To the nearest, as the cast truncates.
                let w = w / sum * f64::from(1 << PRECISION);
                *place = (w + 0.5f64.copysign(w)) as i32;
            }
            axis.first.push(start);
        }
        axis
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
    if channels == 3 {
        rows_of_three(
            &image.pixels[rows.start * width * 3..],
            3 * width,
            &mut pixels,
            axis,
        );
    } else {
        let from = &image.pixels[rows.start * width..rows.end * width];
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

/// Defines a function that is compiled a second time for AVX2 and runs that where the
/// processor has it: the 32-bit multiplication that all of this is made of has no vector
/// instruction in plain x86-64.
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

/// Filters rows of RGB, each `stride` bytes after the one before, for as long as there is
/// a place for them.
fn rows_of_three(from: &[u8], stride: usize, to: &mut [u8], axis: &Axis) {
    let width = 3 * axis.first.len();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        let pairs = Pairs::new(axis);
        // Two rows at once, four numbers a pixel with one of them idle, fill a vector
        // register.
        let mut none = vec![0; width];
        // Loops of a known length, for the most frequent ones, are a sixth quicker.
        let filter = match pairs.count {
            2 => two_rows::<2>,
            3 => two_rows::<3>,
            4 => two_rows::<4>,
            _ => two_rows::<0>,
        };
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        for (i, place) in to.chunks_mut(2 * width).enumerate() {
            let alone = place.len() == width;
            let upper = pairs.readable(&from[2 * i * stride..], &mut upper);
            // The last row may be alone: it is filtered twice.
            let second = if alone { 2 * i } else { 2 * i + 1 };
            let lower = pairs.readable(&from[second * stride..], &mut lower);
            let (above, below) = place.split_at_mut(width);
            // SAFETY: the processor has AVX2.
            unsafe {
                filter(
                    upper,
                    lower,
                    above,
                    if alone { &mut none } else { below },
                    &pairs,
                );
            };
        }
        return;
    }
    for (from, to) in from.chunks_exact(stride).zip(to.chunks_exact_mut(width)) {
        row_of::<3>(from, to, axis);
    }
}

/// Two weights: the lower 15 bits of both, and what is above these of both. AVX2
/// multiplies 16 bits, and adds two products at once; all put together, the sum is the
/// same 32 bits.
#[cfg(target_arch = "x86_64")]
type Pair = [[i16; 2]; 2];

#[cfg(target_arch = "x86_64")]
const LOW_BITS: u32 = 15;

/// Of two weights, or of one and 0.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pair(weights: &[i32]) -> Pair {
    let (a, b) = (weights[0], weights.get(1).copied().unwrap_or(0));
    [
        [a, b].map(|w| (w & ((1 << LOW_BITS) - 1)) as i16),
        [a, b].map(|w| (w >> LOW_BITS) as i16),
    ]
}

/// One half of a [`Pair`] in every 32 bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn both(half: [i16; 2]) -> std::arch::x86_64::__m256i {
    std::arch::x86_64::_mm256_set1_epi32(
        i32::from(half[0] as u16) | i32::from(half[1]) << 16,
    )
}

/// The levels of sums of products with both halves of [`Pair`]s; beyond 0 to 255 where
/// sums overshoot.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn whole(
    low: std::arch::x86_64::__m256i,
    high: std::arch::x86_64::__m256i,
) -> std::arch::x86_64::__m256i {
    use std::arch::x86_64::{_mm256_add_epi32, _mm256_slli_epi32, _mm256_srai_epi32};

    let sums = _mm256_add_epi32(low, _mm256_slli_epi32::<{ LOW_BITS as i32 }>(high));
    _mm256_srai_epi32::<{ PRECISION as i32 }>(sums)
}

/// An axis' weights in pairs.
#[cfg(target_arch = "x86_64")]
struct Pairs {
    /// The first input of each output. Outputs are made by fours: up to three of no
    /// meaning are added.
    first: Vec<usize>,
    /// The pairs of each output, one output's after the other's.
    weights: Vec<Pair>,
    /// How many pairs each output has. Where the number of weights is odd, the last is 0.
    count: usize,
    /// How much of a row is read, what is read for nothing included.
    reach: usize,
}

#[cfg(target_arch = "x86_64")]
impl Pairs {
    /// Bytes that are read for a pair of pixels, 6 of them used.
    const READ: usize = 16;

    fn new(axis: &Axis) -> Self {
        let outputs = axis.weights.chunks_exact(axis.taps.max(1));
        let mut weights: Vec<_> =
            outputs.flat_map(|weights| weights.chunks(2).map(pair)).collect();
        let mut first = axis.first.clone();
        let count = axis.taps.div_ceil(2);
        first.resize(first.len().next_multiple_of(4), 0);
        weights.resize(first.len() * count, [[0; 2]; 2]);
        let last = first.iter().max().map_or(0, |&first| 3 * first);
        let reach = last + 6 * count.saturating_sub(1) + Self::READ;
        Self { first, weights, count, reach }
    }

    /// The rows from this one on; a copy with zeros after it where too little comes after
    /// this row.
    fn readable<'b>(&self, rows: &'b [u8], copy: &'b mut Vec<u8>) -> &'b [u8] {
        if rows.len() >= self.reach {
            return rows;
        }
        copy.clear();
        copy.extend_from_slice(rows);
        copy.resize(self.reach, 0);
        copy
    }
}

/// Filters two rows of RGB with `COUNT` pairs of weights, or any number where that is 0.
/// By hand: compilers do not see that the eight sums are one register.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn two_rows<const COUNT: usize>(
    from_upper: &[u8],
    from_lower: &[u8],
    upper: &mut [u8],
    lower: &mut [u8],
    pairs: &Pairs,
) {
    use std::arch::x86_64::*;

    let (from_upper, from_lower) =
        (&from_upper[..pairs.reach], &from_lower[..pairs.reach]);
    // Each channel of a pixel beside that of the next pixel, as 16 bits; the last two
    // pairs are 0.
    #[rustfmt::skip]
    let beside = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
    ));
    // Four pixels without the fourth byte of each.
    #[rustfmt::skip]
    let close = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
    ));
    // An output: of the upper row in the lower half.
    let levels = |first: usize, weights: &[Pair]| {
        let (mut low, mut high) = (_mm256_set1_epi32(HALF), _mm256_setzero_si256());
        let weights = if COUNT > 0 { &weights[..COUNT] } else { weights };
        for (k, &[lows, highs]) in weights.iter().enumerate() {
            let at = 3 * first + 6 * k;
            // SAFETY: `first` is at most the largest and `k` less than `count`, so that
            // READ bytes from `at` on are within `reach`, which is how long both slices
            // are.
            let pixels = unsafe {
                let upper = _mm_loadu_si128(from_upper.as_ptr().add(at).cast());
                let lower = _mm_loadu_si128(from_lower.as_ptr().add(at).cast());
                _mm256_set_m128i(lower, upper)
            };
            let pixels = _mm256_shuffle_epi8(pixels, beside);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, both(lows)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, both(highs)));
        }
        whole(low, high)
    };
    let places = upper.chunks_mut(12).zip(lower.chunks_mut(12));
    let weights = pairs.weights.chunks_exact(4 * pairs.count);
    for ((first, weights), (upper, lower)) in
        pairs.first.as_chunks::<4>().0.iter().zip(weights).zip(places)
    {
        let levels =
            |i: usize| levels(first[i], &weights[i * pairs.count..][..pairs.count]);
        // Narrowing saturates, first to 16 bits and then to 0 to 255.
        let words = [
            _mm256_packs_epi32(levels(0), levels(1)),
            _mm256_packs_epi32(levels(2), levels(3)),
        ];
        let bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(words[0], words[1]), close);
        put(upper, _mm256_castsi256_si128(bytes));
        put(lower, _mm256_extracti128_si256::<1>(bytes));
    }
}

/// Writes four pixels of RGB, or as many as there are places for.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn put(place: &mut [u8], pixels: std::arch::x86_64::__m128i) {
    use std::arch::x86_64::{_mm_cvtsi128_si64, _mm_extract_epi32};

    let bytes = [_mm_cvtsi128_si64(pixels), i64::from(_mm_extract_epi32::<2>(pixels))]
        .map(i64::to_le_bytes);
    match place.first_chunk_mut::<12>() {
        Some(place) => {
            place[..8].copy_from_slice(&bytes[0]);
            place[8..].copy_from_slice(&bytes[1][..4]);
        }
        None => {
            place.iter_mut().zip(bytes.as_flattened()).for_each(|(to, &byte)| *to = byte);
        }
    }
}

/// Filters a row of pixels of `CHANNELS` levels.
#[inline(always)]
fn row_of<const CHANNELS: usize>(from: &[u8], to: &mut [u8], axis: &Axis) {
    let from = from.as_chunks::<CHANNELS>().0;
    for (i, to) in to.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
        let (first, weights) = axis.of(i);
        let mut sums = [HALF; CHANNELS];
        for (pixel, &weight) in from[first..].iter().zip(weights) {
            for (sum, &x) in sums.iter_mut().zip(pixel) {
                *sum = sum.wrapping_add(i32::from(x).wrapping_mul(weight));
            }
        }
        *to = sums.map(level);
    }
}

vectored! {
    fn row_of_one(from: &[u8], to: &mut [u8], axis: &Axis) {
        row_of::<1>(from, to, axis);
    }
}

/// A sum of rows with these weights. `rows` holds rows of `to.len()` levels, one for each
/// weight and perhaps more.
fn weighted_rows(rows: &[u8], weights: &[i32], to: &mut [u8]) {
    let row = to.len();
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        done = unsafe { blocks_of_weighted_rows(rows, weights, to) };
    }
    for (to, column) in to[done..].iter_mut().zip(done..) {
        let levels = rows.chunks_exact(row).map(|row| row[column]).zip(weights);
        *to =
            level(levels.fold(HALF, |sum, (x, &w)| {
                sum.wrapping_add(i32::from(x).wrapping_mul(w))
            }));
    }
}

/// The same for as many whole blocks of 32 columns as there are: the number of columns
/// that this comes to.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn blocks_of_weighted_rows(rows: &[u8], weights: &[i32], to: &mut [u8]) -> usize {
    use std::arch::x86_64::*;

    const BLOCK: usize = 32;
    let row = to.len();
    let rows = &rows[..row * weights.len()];
    let nothing = _mm256_setzero_si256();
    let mut done = 0;
    for to in to.as_chunks_mut::<BLOCK>().0 {
        let (mut low, mut high) = ([_mm256_set1_epi32(HALF); 4], [nothing; 4]);
        for (k, weights) in weights.chunks(2).enumerate() {
            let [lows, highs] = pair(weights).map(|half| both(half));
            // SAFETY: BLOCK bytes from `done` on are within a row, and of these there is
            // one for each weight.
            let load = |k: usize| unsafe {
                _mm256_loadu_si256(rows.as_ptr().add(k * row + done).cast())
            };
            let upper = load(2 * k);
            let lower = if weights.len() == 2 { load(2 * k + 1) } else { nothing };
            // A column's two levels beside each other, as bytes and then as 16 bits.
            let bytes =
                [_mm256_unpacklo_epi8(upper, lower), _mm256_unpackhi_epi8(upper, lower)];
            let words = [
                _mm256_unpacklo_epi8(bytes[0], nothing),
                _mm256_unpackhi_epi8(bytes[0], nothing),
                _mm256_unpacklo_epi8(bytes[1], nothing),
                _mm256_unpackhi_epi8(bytes[1], nothing),
            ];
            for ((low, high), words) in low.iter_mut().zip(&mut high).zip(words) {
                *low = _mm256_add_epi32(*low, _mm256_madd_epi16(words, lows));
                *high = _mm256_add_epi32(*high, _mm256_madd_epi16(words, highs));
            }
        }
        let levels = |i: usize| whole(low[i], high[i]);
        // Narrowing puts together again, and in order, what was taken apart.
        let words = [
            _mm256_packs_epi32(levels(0), levels(1)),
            _mm256_packs_epi32(levels(2), levels(3)),
        ];
        // SAFETY: `to` is BLOCK bytes long.
        unsafe {
            _mm256_storeu_si256(
                to.as_mut_ptr().cast(),
                _mm256_packus_epi16(words[0], words[1]),
            );
        };
        done += BLOCK;
    }
    done
}

/// The pixel that each output's center falls into.
fn nearest(
    image: Image,
    [height, width]: [usize; 2],
    part: [Range<usize>; 2],
) -> Result<Image> {
    let sources = |from: usize, to: usize, part: Range<usize>| {
        // Added up rather than multiplied, as in Pillow: where a center falls on a
        // border, rounding decides.
        let scale = from as f64 / to as f64;
        let centers = std::iter::successors(Some(scale * 0.5), |x| Some(x + scale));
        let all = centers.take(to).map(|x| Some((x as usize).min(from - 1)));
        all.skip(part.start).take(part.len()).collect()
    };
    let [rows, columns] = part;
    let (rows, columns) =
        (sources(image.height, height, rows), sources(image.width, width, columns));
    rearranged(&Sample::Image(image), &rows, &columns, &Fill::zero())?.into_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Golden results cover what Pillow does; these tests, that all ways to it end in the
    // same levels.

    /// Many of the levels are 0 or 255, so that sums overshoot.
    fn noise(length: usize) -> Vec<u8> {
        (0..length)
            .map(|i| (i * i * 7919 / 13 % 769).saturating_sub(256).min(255) as u8)
            .collect()
    }

    #[test]
    fn columns_are_filtered_alike_in_blocks_and_one_by_one() {
        for (height, to) in [(1, 3), (2, 1), (9, 4), (30, 7)] {
            for how in [Interpolation::Bilinear, Interpolation::Lanczos] {
                let axis = Axis::new(height, to, 0..to, &Filter::new(how).unwrap());
                for width in [1, 31, 32, 33, 100] {
                    let from = Image {
                        width,
                        height,
                        channels: 1,
                        pixels: noise(width * height),
                    };
                    let filtered = down(&from, &axis).unwrap();
                    for column in 0..width {
                        let pixels: Vec<u8> = from
                            .pixels
                            .iter()
                            .skip(column)
                            .step_by(width)
                            .copied()
                            .collect();
                        let mut alone = vec![0; to];
                        row_of::<1>(&pixels, &mut alone, &axis);
                        let together: Vec<u8> = filtered
                            .pixels
                            .iter()
                            .skip(column)
                            .step_by(width)
                            .copied()
                            .collect();
                        assert!(
                            together == alone,
                            "column {column} of {width}, {height} to {to}, {how:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_filtered_alike_two_at_a_time_and_one_by_one() {
        for (width, to) in [
            (1, 1),
            (1, 9),
            (2, 5),
            (3, 2),
            (7, 3),
            (40, 11),
            (11, 40),
            (500, 3),
            (67, 40),
        ] {
            for how in
                [Interpolation::Bilinear, Interpolation::Lanczos, Interpolation::Bicubic]
            {
                let axis = Axis::new(width, to, 0..to, &Filter::new(how).unwrap());
                for height in 1..5 {
                    let from = noise(3 * width * height);
                    let (mut together, mut alone) =
                        (vec![0; 3 * to * height], vec![0; 3 * to * height]);
                    rows_of_three(&from, 3 * width, &mut together, &axis);
                    for (from, to) in from.chunks(3 * width).zip(alone.chunks_mut(3 * to))
                    {
                        row_of::<3>(from, to, &axis);
                    }
                    assert!(
                        together == alone,
                        "{height} rows from {width} to {to}, {how:?}"
                    );
                }
            }
        }
    }
}
