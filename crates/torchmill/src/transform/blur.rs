//! `GaussianBlur`.

use super::arguments::{Argument, Place, transform};
use super::image::{Form, Sample, Tensor};
use super::planes::padded;
use super::random::{Rng, between};
use super::step::{Step, Wrong};
use super::types::{PaddingMode, Size, number};
use super::value::{Item, Value};
use crate::{Error, Result};

transform! {
    /// Convolved with a Gaussian of random width; mirrored at the border. Images are
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
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::Int(_) | Value::Float(_) => f64::read(item, place).map(|s| Self(s, s)),
            Value::List(items) if items.len() == 1 => {
                f64::read(&items[0], place).map(|s| Self(s, s))
            }
            _ => <[f64; 2]>::read(item, place).map(|[low, high]| Self(low, high)),
        }
    }
    fn value(&self) -> Value {
        if self.0 == self.1 {
            number(self.0)
        } else {
            Value::tuple([number(self.0), number(self.1)])
        }
    }
}

impl GaussianBlur {
    /// Mirroring reaches no further than the image.
    fn fits(&self, height: usize, width: usize) -> Result<()> {
        let (across, down) = self.kernel_size.square();
        if across / 2 >= width || down / 2 >= height {
            return Err(Error::failed(format_args!(
                "a kernel of {across}x{down} is too large for an image of {width}x{height} (width x height)"
            )));
        }
        Ok(())
    }
}

impl Step for GaussianBlur {
    fn check(&self) -> std::result::Result<(), Wrong> {
        let (across, down) = self.kernel_size.square();
        if across % 2 == 0 || down % 2 == 0 {
            return Err(Wrong::new("kernel_size", "must be odd"));
        }
        if !(self.sigma.0 > 0.0 && self.sigma.0 <= self.sigma.1 && self.sigma.1 <= 1e6) {
            return Err(Wrong::new("sigma", "must be positive and go from low to high"));
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        self.sigma.0 < self.sigma.1
    }

    fn output(&self, input: Form) -> Result<Form> {
        input.size.map_or(Ok(()), |(height, width)| self.fits(height, width))?;
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let [channels, height, width] = sample.shape();
        self.fits(height, width)?;
        let sigma = between([self.sigma.0, self.sigma.1], rng);
        let (across, down) = self.kernel_size.square();
        let (across, down) = (kernel(across, sigma), kernel(down, sigma));
        Ok(match sample {
            Sample::Image(mut image) => {
                for channel in 0..channels {
                    let plane: Vec<f32> = image
                        .pixels
                        .iter()
                        .skip(channel)
                        .step_by(channels)
                        .map(|&x| x.into())
                        .collect();
                    let blurred = convolved(&plane, height, width, &across, &down);
                    let to = image.pixels.iter_mut().skip(channel).step_by(channels);
                    to.zip(blurred).for_each(|(to, x)| *to = x.round_ties_even() as u8);
                }
                Sample::Image(image)
            }
            Sample::Tensor(tensor) => {
                let planes = tensor.values.chunks_exact(height * width);
                let blurred = planes
                    .flat_map(|plane| convolved(plane, height, width, &across, &down));
                Sample::Tensor(Tensor { values: blurred.collect(), ..tensor })
            }
        })
    }
}

/// The Gaussian at whole distances from the middle, its sum 1.
fn kernel(size: usize, sigma: f64) -> Vec<f32> {
    let middle = (size / 2) as f64;
    let at = |i: usize| (-0.5 * ((i as f64 - middle) / sigma).powi(2)).exp();
    let sum: f64 = (0..size).map(at).sum();
    (0..size).map(|i| (at(i) / sum) as f32).collect()
}

fn convolved(
    plane: &[f32],
    height: usize,
    width: usize,
    across: &[f32],
    down: &[f32],
) -> Vec<f32> {
    let columns: Vec<usize> = mirrored(width, across.len() / 2);
    let mut rows = Vec::with_capacity(plane.len());
    for row in plane.chunks_exact(width) {
        let wide: Vec<f32> = columns.iter().map(|&x| row[x]).collect();
        rows.extend(
            wide.windows(across.len())
                .map(|w| w.iter().zip(across).map(|(x, k)| x * k).sum::<f32>()),
        );
    }
    let sources = mirrored(height, down.len() / 2);
    let mut out = vec![0.0; plane.len()];
    for (sources, out) in sources.windows(down.len()).zip(out.chunks_exact_mut(width)) {
        for (&y, k) in sources.iter().zip(down) {
            out.iter_mut().zip(&rows[y * width..]).for_each(|(out, x)| *out += x * k);
        }
    }
    out
}

/// 0 to n - 1 with this much mirrored on both sides.
fn mirrored(n: usize, margin: usize) -> Vec<usize> {
    padded(n, margin, margin, PaddingMode::Reflect).into_iter().flatten().collect()
}
