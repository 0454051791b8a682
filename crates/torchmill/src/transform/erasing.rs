//! `RandomErasing`.

use rand::RngExt as _;
use rand_distr::StandardNormal;

use super::arguments::{Argument, Place, transform};
use super::image::{Form, Kind, Sample, needs_tensor};
use super::random::{Rng, below, between, happens};
use super::step::{Step, Wrong};
use super::types::{Fill, MAX_SIDE};
use super::value::{Item, Value};
use crate::Result;

transform! {
    /// Overwrites a random rectangle of a tensor with probability `p`.
    pub struct RandomErasing {
        /// How likely.
        pub p: f64 = 0.5,
        /// The smallest and the largest share of the area.
        pub scale: [f64; 2] = [0.02, 0.33],
        /// The smallest and the largest height to width, drawn evenly on a log scale.
        pub ratio: [f64; 2] = [0.3, 3.3],
        /// What to write: one value, one a channel, or `"random"` for standard normal
        /// noise.
        pub value: Eraser = Eraser::Fill(Fill::zero()),
    }
    accepts inplace;
}

/// What an erased rectangle holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Eraser {
    /// These values.
    Fill(Fill),
    /// Standard normal noise.
    Random,
}

impl Argument for Eraser {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::Text(text) if text == "random" => Ok(Self::Random),
            Value::Text(_) => {
                Err(place.must_be("a number, one a channel, or \"random\"", item))
            }
            _ => Fill::read(item, place).map(Self::Fill),
        }
    }
    fn value(&self) -> Value {
        match self {
            Self::Fill(fill) => fill.value(),
            Self::Random => "random".into(),
        }
    }
}

impl Step for RandomErasing {
    fn check(&self) -> std::result::Result<(), Wrong> {
        Wrong::unless_probability("p", self.p)?;
        check_area(self.scale, self.ratio)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn output(&self, input: Form) -> Result<Form> {
        if input.kind == Kind::Image {
            return Err(needs_tensor());
        }
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
        let Some((top, left, h, w)) = self.drawn(height, width, rng) else {
            return Ok(Sample::Tensor(tensor));
        };
        for (channel, plane) in tensor.values.chunks_exact_mut(height * width).enumerate()
        {
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
    /// (top, left, height, width), or `None` where ten tries found none that fits, as
    /// torchvision does.
    pub(super) fn drawn(
        &self,
        height: usize,
        width: usize,
        rng: &mut Rng,
    ) -> Option<(usize, usize, usize, usize)> {
        (0..10).find_map(|_| {
            let (h, w) = rectangle(height * width, self.scale, self.ratio, rng);
            (h < height && w < width)
                .then(|| (below(height - h + 1, rng), below(width - w + 1, rng), h, w))
        })
    }
}

/// The sides of a rectangle of a random share of an area and a random ratio of the first
/// side to the second.
pub(super) fn rectangle(
    area: usize,
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut Rng,
) -> (usize, usize) {
    let area = area as f64 * between(scale, rng);
    let ratio = between(ratio.map(f64::ln), rng).exp();
    let side = |square: f64| square.sqrt().round_ties_even() as usize;
    (side(area * ratio), side(area / ratio))
}

/// Refuses shares of an area and ratios of sides that run backwards or out of bounds.
pub(super) fn check_area(
    scale: [f64; 2],
    ratio: [f64; 2],
) -> std::result::Result<(), Wrong> {
    if !(0.0 <= scale[0] && scale[0] <= scale[1] && scale[1] <= 1.0) {
        return Err(Wrong::new("scale", "must go from low to high within 0 to 1"));
    }
    let most = MAX_SIDE as f64;
    if !(1.0 / most <= ratio[0] && ratio[0] <= ratio[1] && ratio[1] <= most) {
        return Err(Wrong::new("ratio", "must be positive and go from low to high"));
    }
    Ok(())
}
