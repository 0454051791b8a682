//! Random rectangles, as RandomErasing and RandomResizedCrop draw them.

use super::argument::{Checked, InvalidArgument, MAX_INTEGER};
use super::random::{Rng, between};

/// The sides of a rectangle with a random share of an area and a random ratio of the first
/// side to the second, which is drawn uniformly on a log scale.
pub(super) fn random_sides(
    area: usize,
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut Rng,
) -> (usize, usize) {
    let area = area as f64 * between(scale, rng);
    let ratio = between(ratio.map(f64::ln), rng).exp();
    let side = |square: f64| square.sqrt().round_ties_even() as usize;
    (side(area * ratio), side(area / ratio))
}

/// Rejects ranges of area shares and side ratios that are reversed or out of bounds.
pub(super) fn check_scale_and_ratio(scale: [f64; 2], ratio: [f64; 2]) -> Checked {
    if !(0.0 <= scale[0] && scale[0] <= scale[1] && scale[1] <= 1.0) {
        let why = "must go from low to high within 0 to 1";
        return Err(InvalidArgument::new("scale", why));
    }
    let most = MAX_INTEGER as f64;
    if !(1.0 / most <= ratio[0] && ratio[0] <= ratio[1] && ratio[1] <= most) {
        let why = "must be positive and go from low to high";
        return Err(InvalidArgument::new("ratio", why));
    }
    Ok(())
}
