//! The operations of the augmentation policies and the ranges of their magnitudes.

use Operation::*;

use super::Warp;
use crate::Result;
use crate::transform::pixels::enhance;
use crate::transform::pixels::levels::{
    autocontrast, equalize, invert, posterize, solarize,
};
use crate::transform::pixels::warp::{Affine, Rotation, affine, rotate};
use crate::transform::sample::Image;

/// An operation, in the papers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

/// The range of an operation's magnitudes.
#[derive(Debug, Clone, Copy)]
pub(in crate::transform) enum Range {
    /// No magnitude.
    None,
    /// From 0 to this, in either direction.
    To(f32),
    /// From 0 to this share of the width, in either direction.
    OfWidth(f32),
    /// From 0 to this share of the height, in either direction.
    OfHeight(f32),
    /// A number of bits: 8 minus up to this many.
    Bits(f32),
    /// A number of bits: this many minus up to all of them.
    FewBits(f32),
    /// From 0 to a third of the width, in either direction.
    ThirdOfWidth,
    /// From 0 to a third of the height, in either direction.
    ThirdOfHeight,
    /// A threshold, from 1 down to 0.
    Threshold,
}

/// The operations and ranges of AutoAugment and RandAugment.
pub(in crate::transform) const RANGES: &[(Operation, Range)] = &[
    (Identity, Range::None),
    (ShearX, Range::To(0.3)),
    (ShearY, Range::To(0.3)),
    (TranslateX, Range::OfWidth(150.0 / 331.0)),
    (TranslateY, Range::OfHeight(150.0 / 331.0)),
    (Rotate, Range::To(30.0)),
    (Brightness, Range::To(0.9)),
    (Color, Range::To(0.9)),
    (Contrast, Range::To(0.9)),
    (Sharpness, Range::To(0.9)),
    (Posterize, Range::Bits(4.0)),
    (Solarize, Range::Threshold),
    (AutoContrast, Range::None),
    (Equalize, Range::None),
    (Invert, Range::None),
];

/// The operations and ranges of TrivialAugmentWide.
pub(in crate::transform) const WIDE_RANGES: &[(Operation, Range)] = &[
    (Identity, Range::None),
    (ShearX, Range::To(0.99)),
    (ShearY, Range::To(0.99)),
    (TranslateX, Range::To(32.0)),
    (TranslateY, Range::To(32.0)),
    (Rotate, Range::To(135.0)),
    (Brightness, Range::To(0.99)),
    (Color, Range::To(0.99)),
    (Contrast, Range::To(0.99)),
    (Sharpness, Range::To(0.99)),
    (Posterize, Range::Bits(6.0)),
    (Solarize, Range::Threshold),
    (AutoContrast, Range::None),
    (Equalize, Range::None),
];

/// The operations and ranges of AugMix. Without `all_ops`, the last four are left out.
pub(in crate::transform) const AUGMIX_RANGES: &[(Operation, Range)] = &[
    (ShearX, Range::To(0.3)),
    (ShearY, Range::To(0.3)),
    (TranslateX, Range::ThirdOfWidth),
    (TranslateY, Range::ThirdOfHeight),
    (Rotate, Range::To(30.0)),
    (Posterize, Range::FewBits(4.0)),
    (Solarize, Range::Threshold),
    (AutoContrast, Range::None),
    (Equalize, Range::None),
    (Brightness, Range::To(0.9)),
    (Color, Range::To(0.9)),
    (Contrast, Range::To(0.9)),
    (Sharpness, Range::To(0.9)),
];

/// The range of an operation; `None` if it is not listed.
pub(in crate::transform) fn range(
    ranges: &[(Operation, Range)],
    operation: Operation,
) -> Range {
    ranges.iter().find(|(o, _)| *o == operation).map_or(Range::None, |(_, range)| *range)
}

impl Range {
    /// Whether a magnitude and its negative are equally likely.
    pub(in crate::transform) fn is_signed(self) -> bool {
        matches!(
            self,
            Self::To(_)
                | Self::OfWidth(_)
                | Self::OfHeight(_)
                | Self::ThirdOfWidth
                | Self::ThirdOfHeight
        )
    }

    /// The magnitude in this bin, for an image of this (height, width), computed in
    /// float32 like torch's linspace.
    pub(in crate::transform) fn magnitude(
        self,
        bins: usize,
        bin: usize,
        (height, width): (usize, usize),
    ) -> f64 {
        match self {
            Self::None => 0.0,
            Self::To(most) => linspace(0.0, most, bins, bin),
            Self::OfWidth(share) => linspace(0.0, share * width as f32, bins, bin),
            Self::OfHeight(share) => linspace(0.0, share * height as f32, bins, bin),
            Self::Bits(fewer) => {
                let each = (bins - 1) as f32 / fewer;
                f64::from((8.0 - bin as f32 / each).round_ties_even())
            }
            Self::FewBits(most) => {
                let each = (bins - 1) as f32 / most;
                f64::from((most - bin as f32 / each).round_ties_even())
            }
            Self::ThirdOfWidth => linspace(0.0, (width as f64 / 3.0) as f32, bins, bin),
            Self::ThirdOfHeight => linspace(0.0, (height as f64 / 3.0) as f32, bins, bin),
            Self::Threshold => linspace(1.0, 0.0, bins, bin),
        }
    }
}

/// Number `i` of `n` evenly spaced numbers, computed from the nearer end with one
/// rounding, as in torch's vector code. The rounding matters: some numbers are truncated
/// to whole pixels.
fn linspace(from: f32, to: f32, n: usize, i: usize) -> f64 {
    let step = (to - from) / (n - 1) as f32;
    f64::from(if i < n / 2 {
        step.mul_add(i as f32, from)
    } else {
        (-step).mul_add((n - 1 - i) as f32, to)
    })
}

impl Operation {
    /// Applies the operation to an image.
    pub(in crate::transform) fn apply(
        self,
        image: &Image,
        magnitude: f64,
        warp: Warp,
    ) -> Result<Image> {
        // The papers shear by pixels per row, relative to the first pixel; torchvision's
        // affine shears by degrees.
        let degrees = magnitude.atan().to_degrees();
        let affine = |change| affine(image, &change, warp.interpolation, warp.fill);
        let shear = |shear| {
            affine(Affine { shear, center: Some([0.0, 0.0]), ..Affine::IDENTITY })
        };
        let translate = |translate| affine(Affine { translate, ..Affine::IDENTITY });
        match self {
            Identity => Ok(image.clone()),
            ShearX => shear([degrees, 0.0]),
            ShearY => shear([0.0, degrees]),
            TranslateX => translate([magnitude.trunc(), 0.0]),
            TranslateY => translate([0.0, magnitude.trunc()]),
            Rotate => {
                let rotation = Rotation { angle: magnitude, expand: false, center: None };
                rotate(image, rotation, warp.interpolation, warp.fill)
            }
            Brightness => Ok(enhance::brightness(image, 1.0 + magnitude)),
            Color => Ok(enhance::saturation(image, 1.0 + magnitude)),
            Contrast => Ok(enhance::contrast(image, 1.0 + magnitude)),
            Sharpness => Ok(enhance::sharpness(image, 1.0 + magnitude)),
            Posterize => Ok(posterize(image, magnitude as u32)),
            Solarize => Ok(solarize(image, 255.0 * magnitude)),
            AutoContrast => Ok(autocontrast(image)),
            Equalize => Ok(equalize(image)),
            Invert => Ok(invert(image)),
        }
    }
}
