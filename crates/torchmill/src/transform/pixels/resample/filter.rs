//! The filters, as Pillow's documentation ("Concepts: Filters") defines them.

use std::f64::consts::PI;

use crate::transform::argument_types::Interpolation;

/// A filter for resampling.
pub(in crate::transform) struct Filter {
    /// Which filter it is.
    pub interpolation: Interpolation,
    /// The value at a distance in pixels.
    pub shape: fn(f64) -> f64,
    /// The distance from which on the value is 0.
    pub support: f64,
}

impl Filter {
    /// The filter, or `None` for the nearest pixel.
    pub(in crate::transform) fn new(interpolation: Interpolation) -> Option<Self> {
        let filter = |support, shape| Some(Self { interpolation, shape, support });
        match interpolation {
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
