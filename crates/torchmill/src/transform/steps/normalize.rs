//! `Normalize(mean, std)` and `Normalize(auto)`.

use crate::transform::argument::{
    Argument, Arguments, Checked, InvalidArgument, Parameter,
};
use crate::transform::literal::{Call, CallArgument, Item, Literal};
use crate::transform::random::Rng;
use crate::transform::sample::{Sample, SampleKind, SampleSpec};
use crate::transform::step::{Signature, Step};
use crate::{Error, Result};

/// `(x - mean) / std` for each channel of a tensor.
///
/// Both are empty in `Normalize(auto)`, which stands for the train split's statistics (see
/// [`Pipeline::with_statistics`](crate::transform::Pipeline::with_statistics)).
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    /// One mean for each channel, or one for all.
    pub mean: Vec<f32>,
    /// One standard deviation for each channel, or one for all; none of them 0.
    pub std: Vec<f32>,
}

impl Normalize {
    pub(in crate::transform) const NAME: &'static str = "Normalize";
    pub(in crate::transform) const PARAMETERS: &'static [&'static str] =
        &["mean", "std", "inplace"];

    /// Whether it has no statistics yet.
    pub fn is_auto(&self) -> bool {
        self.mean.is_empty()
    }

    pub(in crate::transform) fn read(arguments: &Arguments) -> Result<Self> {
        // torchvision has this argument; it does not change the result.
        arguments.optional::<bool>("inplace")?;
        let mean = arguments.required::<Statistic>("mean")?.0;
        if mean.is_empty() {
            return match arguments.optional::<Statistic>("std")? {
                Some(std) if !std.0.is_empty() => Err(arguments.error_in(
                    "std",
                    "is given, but mean is auto: Normalize(auto) is for both",
                )),
                _ => Ok(Self { mean, std: Vec::new() }),
            };
        }
        let std = arguments.required::<Statistic>("std")?.0;
        if std.is_empty() {
            return Err(arguments.error_in(
                "std",
                "is auto, but mean is given: Normalize(auto) is for both",
            ));
        }
        Ok(Self { mean, std })
    }

    fn check_channels(&self, channels: usize) -> Result<()> {
        if self.is_auto() {
            return Err(Error::usage(
                "auto has not been replaced by the train split's statistics",
            ));
        }
        let (means, stds) = (self.mean.len(), self.std.len());
        if means != stds || (means != 1 && means != channels) {
            return Err(Error::usage(format_args!(
                "has {means} means and {stds} standard deviations for {channels} channels"
            )));
        }
        Ok(())
    }
}

impl Signature for Normalize {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn to_call(&self) -> Call {
        let argument = |values: &[f32]| {
            CallArgument::positional(Statistic(values.to_vec()).literal())
        };
        let mut arguments = vec![argument(&self.mean)];
        if !self.is_auto() {
            arguments.push(argument(&self.std));
        }
        Call::new(Self::NAME, arguments)
    }
}

impl Step for Normalize {
    fn check(&self) -> Checked {
        let (means, stds) = (self.mean.len(), self.std.len());
        if means != stds {
            let why = format!("has {stds} values and mean has {means}");
            return Err(InvalidArgument::new("std", why));
        }
        if self.std.contains(&0.0) {
            let why = "must not be 0: the result would be a division by it";
            return Err(InvalidArgument::new("std", why));
        }
        Ok(())
    }

    fn output_kind(&self, _: SampleKind) -> SampleKind {
        SampleKind::Tensor
    }

    fn output(&self, input: SampleSpec) -> Result<SampleSpec> {
        let input = input.require_tensor()?;
        // The statistics for `auto` will have one value for each channel.
        if !self.is_auto() {
            self.check_channels(input.channels)?;
        }
        Ok(input)
    }

    fn apply(&self, sample: Sample, _: &mut Rng) -> Result<Sample> {
        let mut tensor = sample.into_tensor()?;
        let [channels, height, width] = tensor.shape;
        self.check_channels(channels)?;
        let planes = tensor.values.chunks_exact_mut(height * width);
        for (channel, plane) in planes.enumerate() {
            // One value is for all channels.
            let mean = self.mean[channel % self.mean.len()];
            let std = self.std[channel % self.std.len()];
            for x in plane {
                *x = (*x - mean) / std;
            }
        }
        Ok(Sample::Tensor(tensor))
    }
}

/// One number for each channel; empty for `auto`.
struct Statistic(Vec<f32>);

impl Argument for Statistic {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        const WHAT: &str =
            "one number for each channel, such as (0.5, 0.5, 0.5), or auto";
        let one = |item: &Item| match f64::read(item, parameter)? as f32 {
            x if x.is_finite() => Ok(x),
            _ => Err(parameter.must_be("within float32", item)),
        };
        match &item.literal {
            Literal::Call(call) if call.name == "auto" && !call.has_parentheses => {
                Ok(Self(Vec::new()))
            }
            Literal::Text(text) if text == "auto" => Ok(Self(Vec::new())),
            Literal::List(items) if !items.is_empty() => {
                items.iter().map(one).collect::<Result<_>>().map(Self)
            }
            Literal::Int(_) | Literal::Float(_) => Ok(Self(vec![one(item)?])),
            _ => Err(parameter.must_be(WHAT, item)),
        }
    }

    fn literal(&self) -> Literal {
        match &self.0[..] {
            [] => Literal::name("auto"),
            values => Literal::list(values.iter().copied()),
        }
    }
}
