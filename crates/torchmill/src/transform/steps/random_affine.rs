//! `RandomAffine`.

use crate::Result;
use crate::transform::argument::{
    Argument, Checked, InvalidArgument, Parameter, transform,
};
use crate::transform::argument_types::{Fill, Interpolation, Spread};
use crate::transform::literal::{Item, Literal};
use crate::transform::pixels::warp::{
    Affine, MAX_COORDINATE, affine, check_center, check_warp,
};
use crate::transform::random::{Rng, between};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Rotates, moves, scales and shears at random.
    pub struct RandomAffine {
        /// Degrees clockwise: `d` for -d to d, or `(from, to)`.
        pub degrees: Spread,
        /// The largest share of the width and of the height to move by.
        pub translate: Option<[f64; 2]> = None,
        /// The smallest and the largest scale.
        pub scale: Option<[f64; 2]> = None,
        /// Degrees along x, and optionally along y.
        pub shear: Option<Shear> = None,
        /// Nearest, bilinear or bicubic.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
        /// x and y of the fixed point; `None` for the middle.
        pub center: Option<[f64; 2]> = None,
    }
}

impl Step for RandomAffine {
    fn check(&self) -> Checked {
        let bounds = [-MAX_COORDINATE, MAX_COORDINATE];
        self.degrees.check("degrees", 0.0, bounds)?;
        if let Some(translate) = self.translate
            && translate.iter().any(|x| !(0.0..=1.0).contains(x))
        {
            let why = "must be two numbers from 0 to 1";
            return Err(InvalidArgument::new("translate", why));
        }
        if let Some([from, to]) = self.scale
            && !(from >= 1e-3 && from <= to && to <= 1e3)
        {
            let why = "must go from low to high within 0.001 to 1000";
            return Err(InvalidArgument::new("scale", why));
        }
        if let Some(Shear { x, y }) = self.shear {
            x.check("shear", 0.0, bounds)?;
            y.check("shear", 0.0, bounds)?;
        }
        check_center(self.center)?;
        self.interpolation.check_for_warp()
    }

    fn is_random(&self) -> bool {
        let varies = |range: [f64; 2]| range[0] < range[1];
        varies(self.degrees.about(0.0))
            || self.translate.is_some_and(|t| t != [0.0; 2])
            || self.scale.is_some_and(varies)
            || self
                .shear
                .is_some_and(|s| varies(s.x.about(0.0)) || varies(s.y.about(0.0)))
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let drawn = self.draw(image.height, image.width, rng);
        affine(&image, &drawn, self.interpolation, &self.fill).map(Sample::Image)
    }
}

impl RandomAffine {
    fn draw(&self, height: usize, width: usize, rng: &mut Rng) -> Affine {
        let angle = between(self.degrees.about(0.0), rng);
        let translate = match self.translate {
            Some([x, y]) => [x * width as f64, y * height as f64]
                .map(|most| between([-most, most], rng).round_ties_even()),
            None => [0.0; 2],
        };
        let scale = match self.scale {
            Some(range) => between(range, rng),
            None => 1.0,
        };
        let shear = match self.shear {
            Some(shear) => [shear.x, shear.y].map(|axis| between(axis.about(0.0), rng)),
            None => [0.0; 2],
        };
        Affine { angle, translate, scale, shear, center: self.center }
    }
}

/// The range of angles to shear by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shear {
    /// Degrees along x.
    pub x: Spread,
    /// Degrees along y.
    pub y: Spread,
}

impl Argument for Shear {
    /// `d`, `(from, to)` or `(from x, to x, from y, to y)`.
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        let Literal::List(items) = &item.literal else {
            return Ok(Self { x: Spread::read(item, parameter)?, y: Spread::By(0.0) });
        };
        let mut degrees = Vec::with_capacity(items.len());
        for item in items {
            degrees.push(f64::read(item, parameter)?);
        }
        match degrees[..] {
            [from, to] => Ok(Self { x: Spread::Between(from, to), y: Spread::By(0.0) }),
            [a, b, c, d] => {
                Ok(Self { x: Spread::Between(a, b), y: Spread::Between(c, d) })
            }
            _ => Err(parameter.must_be("a number, two or four", item)),
        }
    }

    fn literal(&self) -> Literal {
        if self.y == Spread::By(0.0) {
            return self.x.literal();
        }
        let [a, b] = self.x.about(0.0);
        let [c, d] = self.y.about(0.0);
        Literal::list([a, b, c, d].map(Literal::number))
    }
}
