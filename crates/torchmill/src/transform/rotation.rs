//! `RandomRotation` and `RandomAffine`.

use super::affine::{Affine, affine, rotate};
use super::arguments::{Argument, Place, transform};
use super::image::{Form, Kind, Sample, needs_image};
use super::planes::check_fill;
use super::random::{Rng, between};
use super::step::{Step, Wrong};
use super::types::{Fill, Interpolation, Spread, number};
use super::value::{Item, Value};
use crate::Result;

/// No angle is larger than this; it is only there to keep infinities out.
const MAX_ANGLE: f64 = 1e6;

transform! {
    /// Turned by a random angle.
    pub struct RandomRotation {
        /// Degrees against the clock: `d` for -d to d, or `(from, to)`.
        pub degrees: Spread,
        /// Nearest, bilinear or bicubic.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// Whether the result grows so that all of the image is inside.
        pub expand: bool = false,
        /// x and y of what stays where it is; the middle where it is `None`.
        pub center: Option<[f64; 2]> = None,
        /// The value of what lies outside.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for RandomRotation {
    fn check(&self) -> std::result::Result<(), Wrong> {
        self.degrees.check("degrees", 0.0, [-MAX_ANGLE, MAX_ANGLE])?;
        check_center(self.center)?;
        self.interpolation.check_for_warping()
    }

    fn is_random(&self) -> bool {
        let [from, to] = self.degrees.about(0.0);
        from < to
    }

    fn output(&self, input: Form) -> Result<Form> {
        check_warp(&self.fill, input)?;
        Ok(if self.expand { Form { size: None, ..input } } else { input })
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let angle = between(self.degrees.about(0.0), rng);
        rotate(&image, angle, self.interpolation, self.expand, self.center, &self.fill)
            .map(Sample::Image)
    }
}

transform! {
    /// Turned, moved, scaled and sheared at random.
    pub struct RandomAffine {
        /// Degrees clockwise: `d` for -d to d, or `(from, to)`.
        pub degrees: Spread,
        /// The largest share of the width and of the height to move by.
        pub translate: Option<[f64; 2]> = None,
        /// The smallest and the largest scale.
        pub scale: Option<[f64; 2]> = None,
        /// Degrees along x, and perhaps y.
        pub shear: Option<Shear> = None,
        /// Nearest, bilinear or bicubic.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of what lies outside.
        pub fill: Fill = Fill::zero(),
        /// x and y of what stays where it is; the middle where it is `None`.
        pub center: Option<[f64; 2]> = None,
    }
}

impl Step for RandomAffine {
    fn check(&self) -> std::result::Result<(), Wrong> {
        self.degrees.check("degrees", 0.0, [-MAX_ANGLE, MAX_ANGLE])?;
        if self.translate.is_some_and(|t| t.iter().any(|x| !(0.0..=1.0).contains(x))) {
            return Err(Wrong::new("translate", "must be two numbers from 0 to 1"));
        }
        if self.scale.is_some_and(|[from, to]| !(from >= 1e-3 && from <= to && to <= 1e3))
        {
            return Err(Wrong::new(
                "scale",
                "must go from low to high within 0.001 to 1000",
            ));
        }
        if let Some(Shear { x, y }) = self.shear {
            x.check("shear", 0.0, [-MAX_ANGLE, MAX_ANGLE])?;
            y.check("shear", 0.0, [-MAX_ANGLE, MAX_ANGLE])?;
        }
        check_center(self.center)?;
        self.interpolation.check_for_warping()
    }

    fn is_random(&self) -> bool {
        let moves = |range: [f64; 2]| range[0] < range[1];
        moves(self.degrees.about(0.0))
            || self.translate.is_some_and(|t| t != [0.0; 2])
            || self.scale.is_some_and(moves)
            || self.shear.is_some_and(|s| moves(s.x.about(0.0)) || moves(s.y.about(0.0)))
    }

    fn output(&self, input: Form) -> Result<Form> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let how = self.drawn(image.height, image.width, rng);
        affine(&image, &how, self.interpolation, &self.fill).map(Sample::Image)
    }
}

impl RandomAffine {
    pub(super) fn drawn(&self, height: usize, width: usize, rng: &mut Rng) -> Affine {
        let angle = between(self.degrees.about(0.0), rng);
        let translate = self.translate.map_or([0.0; 2], |[x, y]| {
            // Whole pixels, halves to even.
            [x * width as f64, y * height as f64]
                .map(|most| between([-most, most], rng).round_ties_even())
        });
        let scale = self.scale.map_or(1.0, |range| between(range, rng));
        let shear = self
            .shear
            .map_or([0.0; 2], |s| [s.x, s.y].map(|along| between(along.about(0.0), rng)));
        Affine { angle, translate, scale, shear, center: self.center }
    }
}

/// How far to shear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shear {
    /// Degrees along x.
    pub x: Spread,
    /// Degrees along y.
    pub y: Spread,
}

impl Argument for Shear {
    /// `d`, `(from, to)` or `(from x, to x, from y, to y)`.
    fn read(item: &Item, place: &Place) -> Result<Self> {
        let Value::List(items) = &item.value else {
            return Ok(Self { x: Spread::read(item, place)?, y: Spread::By(0.0) });
        };
        let degrees =
            items.iter().map(|i| f64::read(i, place)).collect::<Result<Vec<_>>>()?;
        match degrees[..] {
            [from, to] => Ok(Self { x: Spread::Between(from, to), y: Spread::By(0.0) }),
            [a, b, c, d] => {
                Ok(Self { x: Spread::Between(a, b), y: Spread::Between(c, d) })
            }
            _ => Err(place.must_be("a number, two or four", item)),
        }
    }
    fn value(&self) -> Value {
        if self.y == Spread::By(0.0) {
            return self.x.value();
        }
        Value::tuple([self.x, self.y].iter().flat_map(|s| s.about(0.0)).map(number))
    }
}

fn check_center(center: Option<[f64; 2]>) -> std::result::Result<(), Wrong> {
    match center {
        Some(c) if c.iter().any(|x| x.abs() > MAX_ANGLE) => {
            Err(Wrong::new("center", "is far outside"))
        }
        _ => Ok(()),
    }
}

/// Refuses tensors and fill values that do not fit the channels.
pub(super) fn check_warp(fill: &Fill, input: Form) -> Result<()> {
    if input.kind == Kind::Tensor {
        return Err(needs_image());
    }
    check_fill(fill, input)
}
