//! `GaussianBlur`.

use crate::transform::argument::{
    Argument, Checked, InvalidArgument, Parameter, transform,
};
use crate::transform::argument_types::{PaddingMode, Size};
use crate::transform::literal::{Item, Literal};
use crate::transform::pixel_map::padded;
use crate::transform::random::{Rng, between};
use crate::transform::sample::{Image, Sample, SampleSpec, Tensor};
use crate::transform::step::Step;
use crate::{Error, Result};

transform! {
    /// Convolves with a Gaussian of random width; the border is mirrored. Images are
    /// rounded to levels.
    pub struct GaussianBlur {
        /// Odd: `k`, or `(along x, along y)`.
        pub kernel_size: Size,
        /// The standard deviation in pixels: `s`, or `(from, to)`.
        pub sigma: Sigma = Sigma(0.1, 2.0),
    }
}

/// The smallest and the largest standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sigma(pub f64, pub f64);

impl Argument for Sigma {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        let one = |item: &Item| f64::read(item, parameter).map(|s| Self(s, s));
        match &item.literal {
            Literal::Int(_) | Literal::Float(_) => one(item),
            Literal::List(items) if items.len() == 1 => one(&items[0]),
            _ => {
                let [low, high] = <[f64; 2]>::read(item, parameter)?;
                Ok(Self(low, high))
            }
        }
    }

    fn literal(&self) -> Literal {
        if self.0 == self.1 {
            return Literal::number(self.0);
        }
        Literal::list([Literal::number(self.0), Literal::number(self.1)])
    }
}

impl GaussianBlur {
    /// Rejects a kernel that reaches beyond the mirrored image.
    fn check_size(&self, height: usize, width: usize) -> Result<()> {
        let (across, down) = self.kernel_size.square();
        if across / 2 >= width || down / 2 >= height {
            return Err(Error::failed(format_args!(
                "a kernel of {across}x{down} is too large for an image of \
                 {width}x{height} (width x height)"
            )));
        }
        Ok(())
    }
}

impl Step for GaussianBlur {
    fn check(&self) -> Checked {
        let (across, down) = self.kernel_size.square();
        if across % 2 == 0 || down % 2 == 0 {
            return Err(InvalidArgument::new("kernel_size", "must be odd"));
        }
        if !(self.sigma.0 > 0.0 && self.sigma.0 <= self.sigma.1 && self.sigma.1 <= 1e6) {
            let why = "must be positive and go from low to high";
            return Err(InvalidArgument::new("sigma", why));
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        self.sigma.0 < self.sigma.1
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        if let Some((height, width)) = input.size {
            self.check_size(height, width)?;
        }
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let [_, height, width] = sample.shape();
        self.check_size(height, width)?;
        let sigma = between([self.sigma.0, self.sigma.1], rng);
        let (across, down) = self.kernel_size.square();
        let across = gaussian(across, sigma);
        let down = gaussian(down, sigma);
        match sample {
            Sample::Image(image) => Ok(Sample::Image(blur_image(image, &across, &down))),
            Sample::Tensor(tensor) => {
                let mut values = Vec::with_capacity(tensor.values.len());
                for plane in tensor.values.chunks_exact(height * width) {
                    values.extend(convolve(plane, width, &across, &down));
                }
                Ok(Sample::Tensor(Tensor { values, ..tensor }))
            }
        }
    }
}

fn blur_image(mut image: Image, across: &[f32], down: &[f32]) -> Image {
    let channels = image.channels;
    for channel in 0..channels {
        let levels = image.pixels.iter().skip(channel).step_by(channels);
        let plane: Vec<f32> = levels.map(|&x| x.into()).collect();
        let blurred = convolve(&plane, image.width, across, down);
        let levels = image.pixels.iter_mut().skip(channel).step_by(channels);
        for (level, x) in levels.zip(blurred) {
            *level = x.round_ties_even() as u8;
        }
    }
    image
}

/// The Gaussian at integer distances from the middle, with a sum of 1.
pub(super) fn gaussian(size: usize, sigma: f64) -> Vec<f32> {
    let middle = (size / 2) as f64;
    let value = |i: usize| (-0.5 * ((i as f64 - middle) / sigma).powi(2)).exp();
    let sum: f64 = (0..size).map(value).sum();
    (0..size).map(|i| (value(i) / sum) as f32).collect()
}

/// Convolves a plane, first along its rows and then along its columns.
pub(super) fn convolve(
    plane: &[f32],
    width: usize,
    across: &[f32],
    down: &[f32],
) -> Vec<f32> {
    let height = plane.len() / width;
    let columns = mirrored(width, across.len() / 2);
    let mut rows = Vec::with_capacity(plane.len());
    for row in plane.chunks_exact(width) {
        let wide: Vec<f32> = columns.iter().map(|&x| row[x]).collect();
        for window in wide.windows(across.len()) {
            rows.push(window.iter().zip(across).map(|(x, k)| x * k).sum::<f32>());
        }
    }
    let sources = mirrored(height, down.len() / 2);
    let mut output = vec![0.0; plane.len()];
    for (sources, output) in
        sources.windows(down.len()).zip(output.chunks_exact_mut(width))
    {
        for (&y, k) in sources.iter().zip(down) {
            for (output, x) in output.iter_mut().zip(&rows[y * width..]) {
                *output += x * k;
            }
        }
    }
    output
}

/// 0 to n - 1, with this margin mirrored on both sides.
fn mirrored(n: usize, margin: usize) -> Vec<usize> {
    padded(n, margin, margin, PaddingMode::Reflect).into_iter().flatten().collect()
}
