//! `ElasticTransform`.

use rand::RngExt as _;

use super::gaussian_blur::{convolve, gaussian};
use crate::transform::argument::{Checked, InvalidArgument, transform};
use crate::transform::argument_types::{Fill, Interpolation, Pair};
use crate::transform::pixels::grid::{Displacement, displace};
use crate::transform::pixels::warp::check_warp;
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;
use crate::{Error, Result};

transform! {
    /// Moves each pixel by a random distance. The distances are smoothed, so that the image
    /// looks as if seen through water.
    pub struct ElasticTransform {
        /// How far: a number, or one for x and one for y.
        pub alpha: Pair = Pair(50.0, 50.0),
        /// The standard deviation of the smoothing in pixels, likewise.
        pub sigma: Pair = Pair(5.0, 5.0),
        /// Nearest or bilinear.
        pub interpolation: Interpolation = Interpolation::Bilinear,
        /// The value of pixels from outside the image.
        pub fill: Fill = Fill::zero(),
    }
}

impl Step for ElasticTransform {
    fn check(&self) -> Checked {
        let is_valid = |x: f64| (0.0..=1e6).contains(&x);
        for (name, Pair(x, y)) in [("alpha", self.alpha), ("sigma", self.sigma)] {
            if !is_valid(x) || !is_valid(y) {
                return Err(InvalidArgument::new(name, "must not be negative or huge"));
            }
        }
        if self.sigma.0 > 1e3 || self.sigma.1 > 1e3 {
            return Err(InvalidArgument::new("sigma", "must be at most 1000"));
        }
        match self.interpolation {
            Interpolation::Nearest | Interpolation::Bilinear => Ok(()),
            _ => {
                let why = "must be nearest or bilinear here";
                Err(InvalidArgument::new("interpolation", why))
            }
        }
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        check_warp(&self.fill, input)?;
        if let Some((height, width)) = input.size {
            self.check_size(height, width)?;
        }
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let image = sample.into_image()?;
        let (height, width) = (image.height, image.width);
        self.check_size(height, width)?;
        let x = self.draw(self.sigma.0, self.alpha.0 / width as f64, height, width, rng);
        let y = self.draw(self.sigma.1, self.alpha.1 / height as f64, height, width, rng);
        let displacement = Displacement { x, y };
        displace(&image, &displacement, self.interpolation, &self.fill).map(Sample::Image)
    }
}

impl ElasticTransform {
    /// Rejects smoothing that reaches beyond the mirrored image.
    fn check_size(&self, height: usize, width: usize) -> Result<()> {
        let reach = kernel_size(self.sigma.0).max(kernel_size(self.sigma.1)) / 2;
        if reach >= width || reach >= height {
            return Err(Error::failed(format_args!(
                "sigma is too large for an image of {width}x{height} (width x height): \
                 it must be below a quarter of the shorter side"
            )));
        }
        Ok(())
    }

    /// Random distances from -1 to 1, smoothed, times `factor`. The kernel is as long as
    /// `sigma` requires, in both directions, and has the deviations of x and of y.
    fn draw(
        &self,
        sigma: f64,
        factor: f64,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Vec<f32> {
        let mut plane: Vec<f32> =
            (0..height * width).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect();
        if sigma > 0.0 {
            let size = kernel_size(sigma);
            let across = gaussian(size, self.sigma.0.max(f64::MIN_POSITIVE));
            let down = gaussian(size, self.sigma.1.max(f64::MIN_POSITIVE));
            plane = convolve(&plane, width, &across, &down);
        }
        for x in &mut plane {
            *x *= factor as f32;
        }
        plane
    }
}

/// The length of the kernel for this deviation, odd.
fn kernel_size(sigma: f64) -> usize {
    (8.0 * sigma + 1.0) as usize | 1
}
