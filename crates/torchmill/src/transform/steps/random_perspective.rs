//! `RandomPerspective`.

use crate::transform::argument::{Checked, check_probability, transform};
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::pixels::perspective::{Corners, perspective};
use crate::transform::pixels::warp::check_warp;
use crate::transform::random::{Rng, below, happens};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;
use crate::{Error, Result};

/// How many times corners are drawn.
const TRIES: usize = 10;

transform! {
    /// Moves the four corners inwards by random distances, with probability `p`.
    pub struct RandomPerspective {
        /// The largest distances as shares of half the width and half the height.
        pub distortion_scale: f64 = 0.5,
        /// The probability.
        pub p: f64 = 0.5,
        /// Nearest, bilinear or bicubic.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for RandomPerspective {
    fn check(&self) -> Checked {
        check_probability("distortion_scale", self.distortion_scale)?;
        check_probability("p", self.p)?;
        self.interpolation.check_for_warp()
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        if !happens(self.p, rng) {
            return Ok(Sample::Image(image));
        }
        // Rarely, no perspective moves the corners there, and torchvision fails.
        for _ in 0..TRIES {
            let corners = self.draw(image.height, image.width, rng);
            let moved = perspective(&image, corners, self.interpolation, &self.fill)?;
            if let Some(moved) = moved {
                return Ok(Sample::Image(moved));
            }
        }
        Err(Error::failed(format_args!(
            "an image of {}x{} pixels is too small for a perspective",
            image.height, image.width
        )))
    }
}

impl RandomPerspective {
    /// The corners' new positions, clockwise from the upper left one.
    fn draw(&self, height: usize, width: usize, rng: &mut Rng) -> Corners {
        let bound =
            |side: usize| (self.distortion_scale * (side / 2) as f64) as usize + 1;
        let (x, y) = (bound(width), bound(height));
        let mut near = |bound: usize| below(bound, rng) as f64;
        let left_top = [near(x), near(y)];
        let right_top = [(width - x) as f64 + near(x), near(y)];
        let right_bottom = [(width - x) as f64 + near(x), (height - y) as f64 + near(y)];
        let left_bottom = [near(x), (height - y) as f64 + near(y)];
        [left_top, right_top, right_bottom, left_bottom]
    }
}
