//! The operations that the augmentation policies are made of, and how strong they can be.

use super::super::affine::{Affine, affine, rotate};
use super::super::enhance;
use super::super::image::Image;
use super::super::levels::{autocontrast, equalize, invert, posterize, solarize};
use super::super::types::{Fill, Interpolation};
use crate::Result;

/// One operation, by the papers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
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

/// What the magnitudes of an operation run through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Range {
    /// It has none.
    None,
    /// From 0 to this, in either direction.
    To(f32),
    /// From 0 to this share of the width, in either direction.
    OfWidth(f32),
    /// From 0 to this share of the height, in either direction.
    OfHeight(f32),
    /// Bits: from 8 down by so many.
    Bits(f32),
    /// A threshold: from 1 down to 0.
    Threshold,
}

use Operation::*;

/// AutoAugment's and RandAugment's.
pub(super) const RANGES: &[(Operation, Range)] = &[
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

/// TrivialAugmentWide's.
pub(super) const WIDE_RANGES: &[(Operation, Range)] = &[
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

/// The range of an operation, none where it is not listed.
pub(super) fn range(ranges: &[(Operation, Range)], operation: Operation) -> Range {
    ranges.iter().find(|(o, _)| *o == operation).map_or(Range::None, |(_, range)| *range)
}

impl Range {
    /// Whether the negative of a magnitude is as likely.
    pub(super) fn is_signed(self) -> bool {
        matches!(self, Self::To(_) | Self::OfWidth(_) | Self::OfHeight(_))
    }

    /// The magnitude in this bin, for an image of this (height, width). In float32, as
    /// torch's linspace.
    pub(super) fn magnitude(
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
            Self::Threshold => linspace(1.0, 0.0, bins, bin),
        }
    }
}

/// Number `i` of `n` evenly spaced ones, counted from the nearer end, with one rounding
/// as torch's vector code has it: whole pixels are cut off from some of these.
fn linspace(from: f32, to: f32, n: usize, i: usize) -> f64 {
    let step = (to - from) / (n - 1) as f32;
    f64::from(if i < n / 2 {
        step.mul_add(i as f32, from)
    } else {
        (-step).mul_add((n - 1 - i) as f32, to)
    })
}

impl Operation {
    /// The image after this operation.
    pub(super) fn apply(
        self,
        image: &Image,
        magnitude: f64,
        interpolation: Interpolation,
        fill: &Fill,
    ) -> Result<Image> {
        // The papers shear by pixels a row about the first pixel, torchvision's affine by
        // degrees.
        let degrees = magnitude.atan().to_degrees();
        let sheared =
            |shear| Affine { shear, center: Some([0.0, 0.0]), ..Affine::IDENTITY };
        let moved = |translate| Affine { translate, ..Affine::IDENTITY };
        let affine = |how: Affine| affine(image, &how, interpolation, fill);
        Ok(match self {
            Identity => image.clone(),
            ShearX => affine(sheared([degrees, 0.0]))?,
            ShearY => affine(sheared([0.0, degrees]))?,
            TranslateX => affine(moved([magnitude.trunc(), 0.0]))?,
            TranslateY => affine(moved([0.0, magnitude.trunc()]))?,
            Rotate => rotate(image, magnitude, interpolation, false, None, fill)?,
            Brightness => enhance::brightness(image, 1.0 + magnitude),
            Color => enhance::saturation(image, 1.0 + magnitude),
            Contrast => enhance::contrast(image, 1.0 + magnitude),
            Sharpness => enhance::sharpness(image, 1.0 + magnitude),
            Posterize => posterize(image, magnitude as u32),
            Solarize => solarize(image, 255.0 * magnitude),
            AutoContrast => autocontrast(image),
            Equalize => equalize(image),
            Invert => invert(image),
        })
    }
}
