//! `Normalize(mean, std)` and `Normalize(auto)`.

use super::arguments::{Argument, Bound, Place};
use super::image::{Form, Kind, Sample, needs_tensor};
use super::random::Rng;
use super::step::{Declared, Step, Wrong};
use super::value::{Item, Value};
use crate::{Error, Result};

/// `(x - mean) / std` for each channel of a tensor. Both empty: `Normalize(auto)`, which
/// waits for the train split's statistics (see
/// [`Pipeline::with_statistics`](super::Pipeline::with_statistics)).
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    /// One mean a channel, or one for all.
    pub mean: Vec<f32>,
    /// One standard deviation a channel, or one for all; none of them 0.
    pub std: Vec<f32>,
}

impl Normalize {
    pub(super) const NAME: &'static str = "Normalize";
    pub(super) const PARAMETERS: &'static [&'static str] = &["mean", "std", "inplace"];

    /// Whether it still waits for its statistics.
    pub fn is_auto(&self) -> bool {
        self.mean.is_empty()
    }

    pub(super) fn read(bound: &Bound) -> Result<Self> {
        // It changes nothing about the result; a text that was pasted may have it.
        bound.optional::<bool>("inplace")?;
        let mean = bound.required::<Statistic>("mean")?.0;
        if !mean.is_empty() {
            let std = bound.required::<Statistic>("std")?.0;
            if std.is_empty() {
                return Err(bound.wrong_argument(
                    "std",
                    "is auto, but mean is given: Normalize(auto) is for both",
                ));
            }
            return Ok(Self { mean, std });
        }
        match bound.optional::<Statistic>("std")? {
            Some(std) if !std.0.is_empty() => Err(bound.wrong_argument(
                "std",
                "is given, but mean is auto: Normalize(auto) is for both",
            )),
            _ => Ok(Self { mean, std: Vec::new() }),
        }
    }

    fn for_channels(&self, channels: usize) -> Result<()> {
        if self.is_auto() {
            return Err(Error::usage(
                "auto has not been replaced by the train split's statistics",
            ));
        }
        let fits = |n: usize| n == 1 || n == channels;
        if !fits(self.mean.len()) || self.mean.len() != self.std.len() {
            return Err(Error::usage(format_args!(
                "has {} means and {} standard deviations for {channels} channels",
                self.mean.len(),
                self.std.len()
            )));
        }
        Ok(())
    }
}

impl Declared for Normalize {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn written(&self) -> Vec<(Option<&'static str>, Value)> {
        if self.is_auto() {
            return vec![(None, Statistic(Vec::new()).value())];
        }
        let written = |values: &[f32]| (None, Statistic(values.to_vec()).value());
        vec![written(&self.mean), written(&self.std)]
    }
}

impl Step for Normalize {
    fn check(&self) -> std::result::Result<(), Wrong> {
        let (means, stds) = (self.mean.len(), self.std.len());
        if means != stds {
            return Err(Wrong::new(
                "std",
                format!("has {stds} values and mean has {means}"),
            ));
        }
        if self.std.contains(&0.0) {
            return Err(Wrong::new(
                "std",
                "must not be 0: the result would be a division by it",
            ));
        }
        Ok(())
    }

    fn kind(&self, _: Kind) -> Kind {
        Kind::Tensor
    }

    fn output(&self, input: Form) -> Result<Form> {
        if input.kind == Kind::Image {
            return Err(needs_tensor());
        }
        // The statistics of `auto` will have as many values as there are channels.
        if !self.is_auto() {
            self.for_channels(input.channels)?;
        }
        Ok(input)
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        let mut tensor = sample.into_tensor()?;
        let [channels, height, width] = tensor.shape;
        self.for_channels(channels)?;
        let planes = tensor.values.chunks_exact_mut(height * width);
        // One value serves all channels.
        for ((plane, &mean), &std) in
            planes.zip(self.mean.iter().cycle()).zip(self.std.iter().cycle())
        {
            for x in plane {
                *x = (*x - mean) / std;
            }
        }
        Ok(Sample::Tensor(tensor))
    }
}

/// One number a channel; empty for `auto`.
struct Statistic(Vec<f32>);

impl Argument for Statistic {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        const WHAT: &str = "one number a channel, such as (0.5, 0.5, 0.5), or auto";
        let one = |item: &Item| match f64::read(item, place)? as f32 {
            x if x.is_finite() => Ok(x),
            _ => Err(place.must_be("within float32", item)),
        };
        match &item.value {
            Value::Call(call) if call.name == "auto" && !call.called => {
                Ok(Self(Vec::new()))
            }
            Value::Text(text) if text == "auto" => Ok(Self(Vec::new())),
            Value::List(items) if !items.is_empty() => {
                items.iter().map(one).collect::<Result<_>>().map(Self)
            }
            Value::Int(_) | Value::Float(_) => Ok(Self(vec![one(item)?])),
            _ => Err(place.must_be(WHAT, item)),
        }
    }

    fn value(&self) -> Value {
        match &self.0[..] {
            [] => Value::name("auto"),
            values => Value::tuple(values.iter().copied()),
        }
    }
}
