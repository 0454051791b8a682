//! `RandomRotation`.

use crate::Result;
use crate::transform::argument::{Checked, transform};
use crate::transform::argument_types::{Fill, Interpolation, Spread};
use crate::transform::pixels::warp::{
    MAX_COORDINATE, Rotation, check_center, check_warp, rotate,
};
use crate::transform::random::{Rng, between};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Rotates by a random angle.
    pub struct RandomRotation {
        /// Degrees counter-clockwise: `d` for -d to d, or `(from, to)`.
        pub degrees: Spread,
        /// Nearest, bilinear or bicubic.
        pub interpolation: Interpolation = Interpolation::Nearest,
        /// Whether the result grows to contain the whole image.
        pub expand: bool = false,
        /// x and y of the centre of rotation; `None` for the middle.
        pub center: Option<[f64; 2]> = None,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for RandomRotation {
    fn check(&self) -> Checked {
        self.degrees.check("degrees", 0.0, [-MAX_COORDINATE, MAX_COORDINATE])?;
        check_center(self.center)?;
        self.interpolation.check_for_warp()
    }

    fn is_random(&self) -> bool {
        let [from, to] = self.degrees.about(0.0);
        from < to
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        if self.expand {
            return Ok(SampleSpec { size: None, ..input });
        }
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let rotation = Rotation {
            angle: between(self.degrees.about(0.0), rng),
            expand: self.expand,
            center: self.center,
        };
        rotate(&image, rotation, self.interpolation, &self.fill).map(Sample::Image)
    }
}
