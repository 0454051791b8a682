//! The common parts of AutoAugment, RandAugment and TrivialAugmentWide: their operations,
//! the magnitudes of these, and how one is drawn.

mod operation;
mod policies;

pub use policies::AutoAugmentPolicy;

pub(super) use operation::{AUGMIX_RANGES, Operation, RANGES, Range, WIDE_RANGES, range};
pub(super) use policies::{POLICY_BINS, policies};

use super::argument::{Checked, InvalidArgument};
use super::argument_types::{Fill, Interpolation};
use super::random::{Rng, below, between};
use super::sample::Image;
use crate::Result;

/// The largest number of operations and of magnitudes: enough for any use, and small
/// enough to finish.
pub(super) const MAX_COUNT: usize = 1000;

/// How operations that rotate, move and shear fill the image.
#[derive(Clone, Copy)]
pub(super) struct Warp<'a> {
    pub interpolation: Interpolation,
    pub fill: &'a Fill,
}

/// Applies one operation, drawn from those in `ranges`. `bin` draws its magnitude from
/// `bins`. Invert is only for AutoAugment.
pub(super) fn apply_one(
    ranges: &[(Operation, Range)],
    image: &Image,
    bins: usize,
    bin: impl Fn(&mut Rng) -> usize,
    warp: Warp,
    rng: &mut Rng,
) -> Result<Image> {
    let mut ranges = ranges.to_vec();
    ranges.retain(|(operation, _)| *operation != Operation::Invert);
    let (operation, range) = ranges[below(ranges.len(), rng)];
    let magnitude = range.magnitude(bins, bin(rng), (image.height, image.width));
    operation.apply(image, random_sign(range, magnitude, rng), warp)
}

/// The magnitude, or its negative with probability 0.5 if the range has a sign.
pub(super) fn random_sign(range: Range, magnitude: f64, rng: &mut Rng) -> f64 {
    let negative = range.is_signed() && between([0.0, 1.0], rng) < 0.5;
    if negative { -magnitude } else { magnitude }
}

/// The weighted sum of an image and others of the same size, truncated to levels.
pub(super) fn mix(image: &Image, own: f32, others: &[Image], weights: &[f32]) -> Image {
    let mut sums: Vec<f32> =
        image.pixels.iter().map(|&level| own * f32::from(level)).collect();
    for (other, weight) in others.iter().zip(weights) {
        for (sum, &level) in sums.iter_mut().zip(&other.pixels) {
            *sum += weight * f32::from(level);
        }
    }
    Image { pixels: sums.into_iter().map(|sum| sum as u8).collect(), ..*image }
}

/// Rejects a number of magnitudes that is out of range.
pub(super) fn check_bins(bins: usize) -> Checked {
    if (2..=MAX_COUNT).contains(&bins) {
        return Ok(());
    }
    let why = format!("must be from 2 to {MAX_COUNT}, not {bins}");
    Err(InvalidArgument::new("num_magnitude_bins", why))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::transform::sample::Tensor;

    /// Applies an operation by its name in the goldens: `ShearX 0.21`.
    pub(in crate::transform) fn apply_named(text: &str, image: &Image) -> Image {
        let (name, magnitude) = text.split_once(' ').unwrap();
        let operation = named(RANGES, name).0;
        let fill = Fill(vec![90.0]);
        let warp = Warp { interpolation: Interpolation::Nearest, fill: &fill };
        operation.apply(image, magnitude.parse().unwrap(), warp).unwrap()
    }

    /// All magnitudes of an operation by its name in the goldens:
    /// `RandAugment ShearX 31`.
    pub(in crate::transform) fn magnitudes(text: &str) -> Tensor {
        let words: Vec<&str> = text.split(' ').collect();
        let ranges = if words[0] == "TrivialAugmentWide" { WIDE_RANGES } else { RANGES };
        let range = named(ranges, words[1]).1;
        let bins: usize = words[2].parse().unwrap();
        let magnitude = |bin| range.magnitude(bins, bin, (19, 23)) as f32;
        Tensor { shape: [1, 1, bins], values: (0..bins).map(magnitude).collect() }
    }

    fn named(ranges: &[(Operation, Range)], name: &str) -> (Operation, Range) {
        let is_named =
            |(operation, _): &&(Operation, Range)| format!("{operation:?}") == name;
        *ranges.iter().find(is_named).unwrap()
    }
}
