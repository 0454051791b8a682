//! `RandomErasing`.

use rand::RngExt as _;
use rand_distr::StandardNormal;

use crate::Result;
use crate::transform::argument::{
    Argument, Checked, Parameter, check_probability, transform,
};
use crate::transform::argument_types::Fill;
use crate::transform::literal::{Item, Literal};
use crate::transform::random::{Rng, below, happens};
use crate::transform::rectangle::{check_scale_and_ratio, random_sides};
use crate::transform::sample::{Sample, SampleSpec};
use crate::transform::step::Step;

transform! {
    /// Overwrites a random rectangle of a tensor with probability `p`.
    pub struct RandomErasing {
        /// The probability.
        pub p: f64 = 0.5,
        /// The smallest and the largest share of the area.
        pub scale: [f64; 2] = [0.02, 0.33],
        /// The smallest and the largest ratio of height to width.
        pub ratio: [f64; 2] = [0.3, 3.3],
        /// One value, one for each channel, or `"random"` for standard normal noise.
        pub value: Eraser = Eraser::Fill(Fill::zero()),
    }
    accepts inplace;
}

/// The values of an erased rectangle.
#[derive(Debug, Clone, PartialEq)]
pub enum Eraser {
    /// These values.
    Fill(Fill),
    /// Standard normal noise.
    Random,
}

impl Argument for Eraser {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::Text(text) if text == "random" => Ok(Self::Random),
            Literal::Text(_) => {
                let what = "a number, one for each channel, or \"random\"";
                Err(parameter.must_be(what, item))
            }
            _ => Fill::read(item, parameter).map(Self::Fill),
        }
    }

    fn literal(&self) -> Literal {
        match self {
            Self::Fill(fill) => fill.literal(),
            Self::Random => "random".into(),
        }
    }
}

impl Step for RandomErasing {
    fn check(&self) -> Checked {
        check_probability("p", self.p)?;
        check_scale_and_ratio(self.scale, self.ratio)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let input = input.require_tensor()?;
        if let Eraser::Fill(fill) = &self.value {
            fill.channels(input.channels)?;
        }
        Ok(input)
    }

    fn apply(&self, sample: Sample, rng: &mut Rng) -> Result<Sample> {
        let mut tensor = sample.into_tensor()?;
        let [channels, height, width] = tensor.shape;
        let fill = match &self.value {
            Eraser::Fill(fill) => Some(fill.channels(channels)?),
            Eraser::Random => None,
        };
        if !happens(self.p, rng) {
            return Ok(Sample::Tensor(tensor));
        }
        let Some((top, left, h, w)) = self.draw(height, width, rng) else {
            return Ok(Sample::Tensor(tensor));
        };
        let planes = tensor.values.chunks_exact_mut(height * width);
        for (channel, plane) in planes.enumerate() {
            for row in plane.chunks_exact_mut(width).skip(top).take(h) {
                match &fill {
                    Some(fill) => row[left..left + w].fill(fill[channel] as f32),
                    None => row[left..left + w].fill_with(|| rng.sample(StandardNormal)),
                }
            }
        }
        Ok(Sample::Tensor(tensor))
    }
}

impl RandomErasing {
    /// (top, left, height, width), or `None` if ten rectangles did not fit, as in
    /// torchvision.
    fn draw(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Option<(usize, usize, usize, usize)> {
        for _ in 0..10 {
            let (h, w) = random_sides(height * width, self.scale, self.ratio, rng);
            if h < height && w < width {
                let top = below(height - h + 1, rng);
                let left = below(width - w + 1, rng);
                return Some((top, left, h, w));
            }
        }
        None
    }
}
