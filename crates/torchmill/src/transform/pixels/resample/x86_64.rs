//! The inner loops of resampling for processors with AVX2, and those for processors that
//! also have VNNI. They give the same results as the plain ones.
//!
//! All unsafe code of the transforms is in this file. It is sound for two reasons:
//!
//! - Functions with `target_feature` are called by methods of [`Avx2`] and [`Vnni`] and by
//!   each other only, and a value of these exists only if the processor has the features.
//! - Loads and stores through pointers stay within slices. Each has its argument in place.

use std::arch::x86_64::*;

use super::axis::{Axis, PRECISION};
use super::{HALF, filter_row};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// `None` if the processor does not have AVX2.
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// See [`filter_rgb_rows`](super::filter_rgb_rows).
    pub(super) fn filter_rgb_rows(
        self,
        source: &[u8],
        stride: usize,
        output: &mut [u8],
        axis: &Axis,
    ) {
        let pairs = Grouped::new(axis, 2, pair);
        // Loops of a known length are a sixth faster, for the most frequent lengths.
        let filter = match pairs.count {
            2 => two_rows::<2>,
            3 => two_rows::<3>,
            4 => two_rows::<4>,
            _ => two_rows::<0>,
        };
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { filter_in_twos(source, stride, output, &pairs, filter) };
    }

    /// See [`filter_gray_row`](super::filter_gray_row). The compiler vectorizes the plain
    /// code; without AVX2 there is no vector instruction for its 32-bit products.
    pub(super) fn filter_gray_row(self, row: &[u8], output: &mut [u8], axis: &Axis) {
        #[target_feature(enable = "avx2")]
        fn filter(row: &[u8], output: &mut [u8], axis: &Axis) {
            filter_row::<1>(row, output, axis);
        }
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { filter(row, output, axis) };
    }

    /// See [`add_weighted_rows`](super::add_weighted_rows). Computes whole blocks of
    /// columns and returns the number of columns in them.
    pub(super) fn add_weighted_rows(
        self,
        rows: &[u8],
        stride: usize,
        weights: &[i32],
        output: &mut [u8],
    ) -> usize {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { add_weighted_rows(rows, stride, weights, output) }
    }
}

/// Proof that the processor has AVX2 and AVX-512's VNNI for registers of 256 bits.
#[derive(Clone, Copy)]
pub(super) struct Vnni(());

impl Vnni {
    /// `None` if the processor does not have them.
    pub(super) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        has_all.then_some(Self(()))
    }

    /// See [`filter_rgb_rows`](super::filter_rgb_rows). The weights must fit: see
    /// [`fit_in_quads`].
    pub(super) fn filter_rgb_rows(
        self,
        source: &[u8],
        stride: usize,
        output: &mut [u8],
        axis: &Axis,
    ) {
        let quads = Grouped::new(axis, 4, quad);
        let filter = match quads.count {
            1 => two_rows_vnni::<1>,
            2 => two_rows_vnni::<2>,
            _ => two_rows_vnni::<0>,
        };
        // SAFETY: `self` proves that the processor has the features.
        unsafe { filter_in_twos(source, stride, output, &quads, filter) };
    }
}

/// Filters two RGB rows, the upper and the lower one, to two output rows.
///
/// # Safety
///
/// The processor must have the features that the function is compiled for.
type TwoRows<W> = unsafe fn(&[u8], &[u8], &mut [u8], &mut [u8], &Grouped<W>);

/// Filters RGB rows two at a time: with four numbers for each pixel, of which one is
/// unused, two pixels fill a vector register.
///
/// # Safety
///
/// The processor must have the features that `filter` is compiled for.
unsafe fn filter_in_twos<W: Copy + Default>(
    source: &[u8],
    stride: usize,
    output: &mut [u8],
    groups: &Grouped<W>,
    filter: TwoRows<W>,
) {
    let width = 3 * groups.outputs;
    let mut unused = vec![0; width];
    let (mut upper_copy, mut lower_copy) = (Vec::new(), Vec::new());
    for (i, output) in output.chunks_mut(2 * width).enumerate() {
        let (above, mut below) = output.split_at_mut(width);
        let upper = 2 * i;
        let mut lower = upper + 1;
        if below.is_empty() {
            // The last row has no partner, so it is filtered twice.
            lower = upper;
            below = &mut unused;
        }
        let upper = groups.readable(&source[upper * stride..], &mut upper_copy);
        let lower = groups.readable(&source[lower * stride..], &mut lower_copy);
        // SAFETY: the caller guarantees the features.
        unsafe { filter(upper, lower, above, below, groups) };
    }
}

/// Two weights: the lower 15 bits of both, and the higher bits of both.
///
/// AVX2 multiplies numbers of 16 bits and adds two products at once. Put together, the
/// sums of the halves are the sum of the 32-bit products.
type Pair = [[i16; 2]; 2];

const LOW_BITS: u32 = 15;

/// The pair of two weights, or of one and 0.
#[inline(always)]
fn pair(weights: &[i32]) -> Pair {
    let weights = [weights[0], weights.get(1).copied().unwrap_or(0)];
    let low = weights.map(|w| (w & ((1 << LOW_BITS) - 1)) as i16);
    let high = weights.map(|w| (w >> LOW_BITS) as i16);
    [low, high]
}

/// Four weights: the lowest 8 bits of each, the next 8 bits and the highest ones, all as
/// signed numbers.
///
/// VNNI multiplies levels by signed numbers of 8 bits and adds four products at once. Put
/// together, the three sums are the sum of the 32-bit products.
type Quad = [[i8; 4]; 3];

/// The largest weight of a [`Quad`], whose three parts are 127. It is almost 2, and the
/// weights of filters are hardly larger than 1.
const MOST_IN_QUAD: u32 = 0x7f_7f7f;

/// Whether weights can be written as [`Quad`]s.
pub(super) fn fit_in_quads(weights: &[i32]) -> bool {
    weights.iter().all(|weight| weight.unsigned_abs() <= MOST_IN_QUAD)
}

/// The quad of up to four weights; missing ones are 0.
#[inline(always)]
fn quad(weights: &[i32]) -> Quad {
    let mut quad = Quad::default();
    for (i, &weight) in weights.iter().enumerate() {
        let mut rest = weight;
        for part in &mut quad {
            part[i] = rest as i8;
            rest = (rest - i32::from(part[i])) >> 8;
        }
    }
    quad
}

/// The weights of an axis in [`Pair`]s or [`Quad`]s.
struct Grouped<W> {
    /// The number of outputs.
    outputs: usize,
    /// The first input of each output. Outputs are computed four at a time, so up to
    /// three meaningless ones are added.
    first: Vec<usize>,
    /// The groups of each output, one output after the other.
    weights: Vec<W>,
    /// The number of groups of each output.
    count: usize,
    /// The number of bytes of a row that are read, including those that are not used.
    reach: usize,
}

/// The number of bytes that are read for a group of pixels. 6 or 12 of them are used.
const READ: usize = 16;

impl<W: Copy + Default> Grouped<W> {
    /// Calls `group` with every `size` weights of an output. The last call for an output may
    /// have fewer.
    fn new(axis: &Axis, size: usize, group: fn(&[i32]) -> W) -> Self {
        let mut weights = Vec::new();
        for output in axis.weights.chunks_exact(axis.taps.max(1)) {
            weights.extend(output.chunks(size).map(group));
        }
        let outputs = axis.first.len();
        let mut first = axis.first.clone();
        let count = axis.taps.div_ceil(size);
        first.resize(outputs.next_multiple_of(4), 0);
        weights.resize(first.len() * count, W::default());
        let last = first.iter().max().map_or(0, |&first| 3 * first);
        let reach = last + 3 * size * count.saturating_sub(1) + READ;
        Self { outputs, first, weights, count, reach }
    }

    /// The rows from this one on; if fewer than `reach` bytes are left, a copy padded
    /// with zeros.
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

/// One half of a [`Pair`] in every 32 bits.
#[target_feature(enable = "avx2")]
fn broadcast(half: [i16; 2]) -> __m256i {
    _mm256_set1_epi32(i32::from(half[0] as u16) | i32::from(half[1]) << 16)
}

/// The levels of sums of products with both halves of [`Pair`]s. They are outside 0 to
/// 255 if sums overshoot.
#[target_feature(enable = "avx2")]
fn join(low: __m256i, high: __m256i) -> __m256i {
    let sums = _mm256_add_epi32(low, _mm256_slli_epi32::<{ LOW_BITS as i32 }>(high));
    _mm256_srai_epi32::<{ PRECISION as i32 }>(sums)
}

/// Filters two RGB rows with `COUNT` pairs of weights, or with any number if it is 0.
///
/// Written with intrinsics because compilers do not keep the eight sums in one register.
#[target_feature(enable = "avx2")]
fn two_rows<const COUNT: usize>(
    upper: &[u8],
    lower: &[u8],
    upper_output: &mut [u8],
    lower_output: &mut [u8],
    pairs: &Grouped<Pair>,
) {
    let upper = &upper[..pairs.reach];
    let lower = &lower[..pairs.reach];
    let count = if COUNT > 0 { COUNT } else { pairs.count };
    let weights = pairs.weights.chunks_exact(4 * count);
    let firsts = pairs.first.as_chunks::<4>().0;
    for (k, (first, weights)) in firsts.iter().zip(weights).enumerate() {
        let levels = |i: usize| {
            // SAFETY: both slices are `reach` bytes long, `first[i]` is at most the largest
            // and `count` the number of pairs.
            unsafe { sum_pixels(upper, lower, first[i], &weights[i * count..][..count]) }
        };
        let levels = [levels(0), levels(1), levels(2), levels(3)];
        store_levels(levels, &mut upper_output[12 * k..], &mut lower_output[12 * k..]);
    }
}

/// The same with VNNI: two rows and `COUNT` quads of weights, or any number if it is 0.
#[target_feature(enable = "avx2,avx512vl,avx512vnni")]
fn two_rows_vnni<const COUNT: usize>(
    upper: &[u8],
    lower: &[u8],
    upper_output: &mut [u8],
    lower_output: &mut [u8],
    quads: &Grouped<Quad>,
) {
    let upper = &upper[..quads.reach];
    let lower = &lower[..quads.reach];
    let count = if COUNT > 0 { COUNT } else { quads.count };
    let weights = quads.weights.chunks_exact(4 * count);
    let firsts = quads.first.as_chunks::<4>().0;
    for (k, (first, weights)) in firsts.iter().zip(weights).enumerate() {
        let levels = |i: usize| {
            let weights = &weights[i * count..][..count];
            // SAFETY: both slices are `reach` bytes long, `first[i]` is at most the largest
            // and `count` the number of quads.
            unsafe { sum_pixels_vnni(upper, lower, first[i], weights) }
        };
        let levels = [levels(0), levels(1), levels(2), levels(3)];
        store_levels(levels, &mut upper_output[12 * k..], &mut lower_output[12 * k..]);
    }
}

/// The levels of an output pixel, as 32 bits: those of the upper row in the lower half.
///
/// # Safety
///
/// `3 * first + 6 * (weights.len() - 1) + READ` bytes of both rows can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sum_pixels(
    upper: &[u8],
    lower: &[u8],
    first: usize,
    weights: &[Pair],
) -> __m256i {
    let mut low = _mm256_set1_epi32(HALF);
    let mut high = _mm256_setzero_si256();
    // 16 bytes hold the pixels of two pairs.
    for (k, weights) in weights.chunks(2).enumerate() {
        let offset = 3 * first + 12 * k;
        // SAFETY: the caller guarantees READ bytes from the last pair's offset on, and
        // this offset is not after it.
        let pixels = unsafe { load_two(upper, lower, offset) };
        let orders = [interleave_two_pixels::<0>(), interleave_two_pixels::<6>()];
        for (&[lows, highs], order) in weights.iter().zip(orders) {
            let pixels = _mm256_shuffle_epi8(pixels, order);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, broadcast(lows)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, broadcast(highs)));
        }
    }
    join(low, high)
}

/// The same with VNNI.
///
/// # Safety
///
/// `3 * first + 12 * (weights.len() - 1) + READ` bytes of both rows can be read.
#[inline]
#[target_feature(enable = "avx2,avx512vl,avx512vnni")]
unsafe fn sum_pixels_vnni(
    upper: &[u8],
    lower: &[u8],
    first: usize,
    weights: &[Quad],
) -> __m256i {
    let mut sums = no_sums();
    for (k, quad) in weights.iter().enumerate() {
        // SAFETY: the caller guarantees READ bytes from the last quad's offset on.
        let pixels = unsafe { load_two(upper, lower, 3 * first + 12 * k) };
        let pixels = _mm256_shuffle_epi8(pixels, interleave_four_pixels());
        add_products(&mut sums, pixels, quad);
    }
    join_three(sums)
}

/// The initial values of the sums of products with the three parts of [`Quad`]s.
#[inline]
#[target_feature(enable = "avx2")]
fn no_sums() -> [__m256i; 3] {
    [_mm256_set1_epi32(HALF), _mm256_setzero_si256(), _mm256_setzero_si256()]
}

/// Multiplies the four levels in every 32 bits by a quad and adds the products.
#[inline]
#[target_feature(enable = "avx2,avx512vl,avx512vnni")]
fn add_products(sums: &mut [__m256i; 3], levels: __m256i, quad: &Quad) {
    for (sum, part) in sums.iter_mut().zip(quad) {
        let part = i32::from_le_bytes(part.map(i8::cast_unsigned));
        *sum = _mm256_dpbusd_epi32(*sum, levels, _mm256_set1_epi32(part));
    }
}

/// The levels of these sums. They are outside 0 to 255 if sums overshoot.
#[inline]
#[target_feature(enable = "avx2")]
fn join_three([low, middle, high]: [__m256i; 3]) -> __m256i {
    let upper = _mm256_add_epi32(middle, _mm256_slli_epi32::<8>(high));
    let sums = _mm256_add_epi32(low, _mm256_slli_epi32::<8>(upper));
    _mm256_srai_epi32::<{ PRECISION as i32 }>(sums)
}

/// 16 bytes from this offset on of both rows: those of the upper row in the lower half.
///
/// # Safety
///
/// Both rows must have them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_two(upper: &[u8], lower: &[u8], offset: usize) -> __m256i {
    // SAFETY: the caller guarantees it.
    unsafe {
        let upper = _mm_loadu_si128(upper.as_ptr().add(offset).cast());
        let lower = _mm_loadu_si128(lower.as_ptr().add(offset).cast());
        _mm256_set_m128i(lower, upper)
    }
}

/// A shuffle: each channel of four pixels side by side. The last four bytes are 0.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave_four_pixels() -> __m256i {
    #[rustfmt::skip]
    let order = _mm_setr_epi8(
        0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1,
    );
    _mm256_broadcastsi128_si256(order)
}

/// A shuffle: each channel of the pixel that begins at this byte next to that of the next
/// pixel, as 16 bits. The last two numbers are 0.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave_two_pixels<const AT: i8>() -> __m256i {
    #[rustfmt::skip]
    let order = _mm_setr_epi8(
        AT, -1, AT + 3, -1, AT + 1, -1, AT + 4, -1, AT + 2, -1, AT + 5, -1, -1, -1, -1, -1,
    );
    _mm256_broadcastsi128_si256(order)
}

/// A shuffle: four pixels without the fourth byte of each.
#[inline]
#[target_feature(enable = "avx2")]
fn without_fourth_bytes() -> __m256i {
    #[rustfmt::skip]
    let order = _mm_setr_epi8(
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
    );
    _mm256_broadcastsi128_si256(order)
}

/// Writes the levels of four pixels of two rows, or as many as there is room for.
#[inline]
#[target_feature(enable = "avx2")]
fn store_levels(levels: [__m256i; 4], upper_output: &mut [u8], lower_output: &mut [u8]) {
    // Narrowing saturates, first to 16 bits and then to 0 to 255.
    let words = [
        _mm256_packs_epi32(levels[0], levels[1]),
        _mm256_packs_epi32(levels[2], levels[3]),
    ];
    let bytes = _mm256_packus_epi16(words[0], words[1]);
    let bytes = _mm256_shuffle_epi8(bytes, without_fourth_bytes());
    store_pixels(upper_output, _mm256_castsi256_si128(bytes));
    store_pixels(lower_output, _mm256_extracti128_si256::<1>(bytes));
}

/// Writes four RGB pixels to the first 12 bytes, or as many as there is room for. It may
/// overwrite the four bytes after them, so pixels are written from left to right.
#[inline]
#[target_feature(enable = "avx2")]
fn store_pixels(output: &mut [u8], pixels: __m128i) {
    if let Some(output) = output.first_chunk_mut::<16>() {
        // SAFETY: `output` is 16 bytes long.
        unsafe { _mm_storeu_si128(output.as_mut_ptr().cast(), pixels) };
        return;
    }
    let mut bytes = [0; 16];
    // SAFETY: `bytes` is 16 bytes long.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), pixels) };
    let length = output.len().min(12);
    output[..length].copy_from_slice(&bytes[..length]);
}

/// Sums rows with these weights for as many whole blocks of 32 columns as there are.
/// Returns the number of columns in them.
#[target_feature(enable = "avx2")]
fn add_weighted_rows(
    rows: &[u8],
    stride: usize,
    weights: &[i32],
    output: &mut [u8],
) -> usize {
    const BLOCK: usize = 32;
    let last = weights.len().saturating_sub(1);
    let rows = &rows[..last * stride + output.len()];
    let zero = _mm256_setzero_si256();
    let mut done = 0;
    for output in output.as_chunks_mut::<BLOCK>().0 {
        let mut low = [_mm256_set1_epi32(HALF); 4];
        let mut high = [zero; 4];
        for (k, weights) in weights.chunks(2).enumerate() {
            // SAFETY: BLOCK bytes from `done` on are within a row, and there is a row for
            // each weight.
            let load = |k: usize| unsafe {
                _mm256_loadu_si256(rows.as_ptr().add(k * stride + done).cast())
            };
            let upper = load(2 * k);
            let lower = if weights.len() == 2 { load(2 * k + 1) } else { zero };
            let [lows, highs] = pair(weights);
            let (lows, highs) = (broadcast(lows), broadcast(highs));
            for (i, words) in interleave_two_rows(upper, lower).into_iter().enumerate() {
                low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(words, lows));
                high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(words, highs));
            }
        }
        // Narrowing undoes the interleaving.
        let words = [
            _mm256_packs_epi32(join(low[0], high[0]), join(low[1], high[1])),
            _mm256_packs_epi32(join(low[2], high[2]), join(low[3], high[3])),
        ];
        let bytes = _mm256_packus_epi16(words[0], words[1]);
        // SAFETY: `output` is BLOCK bytes long.
        unsafe { _mm256_storeu_si256(output.as_mut_ptr().cast(), bytes) };
        done += BLOCK;
    }
    done
}

/// The levels of two rows in each column next to each other, as 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave_two_rows(upper: __m256i, lower: __m256i) -> [__m256i; 4] {
    let zero = _mm256_setzero_si256();
    let low = _mm256_unpacklo_epi8(upper, lower);
    let high = _mm256_unpackhi_epi8(upper, lower);
    [
        _mm256_unpacklo_epi8(low, zero),
        _mm256_unpackhi_epi8(low, zero),
        _mm256_unpacklo_epi8(high, zero),
        _mm256_unpackhi_epi8(high, zero),
    ]
}
