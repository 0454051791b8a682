//! torch.nn.Conv2d.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::suggest::did_you_mean;
use torchmill::{Error, Result};

use super::arguments::{Pair, agreed, padding, positive, positive_pair, yes};
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::conv_pool;
use crate::kernel::conv2d::conv2d;
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.Conv2d: `[N, in_channels, H, W]` to `[N, out_channels, H', W']`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conv2d {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_channels: Option<i64>,
    out_channels: i64,
    kernel_size: Pair,
    #[serde(default = "Pair::one")]
    stride: Pair,
    #[serde(default = "no_padding")]
    padding: Padding,
    #[serde(default = "Pair::one")]
    dilation: Pair,
    #[serde(default = "one")]
    groups: i64,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default)]
    padding_mode: PaddingMode,
}

fn no_padding() -> Padding {
    Padding::Pixels(Pair::zero())
}

fn one() -> i64 {
    1
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, try_from = "PaddingText")]
enum Padding {
    /// This many pixels on each side.
    Pixels(Pair),
    Named(NamedPadding),
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum NamedPadding {
    /// The output has the input's size.
    Same,
    /// No padding.
    Valid,
}

/// [`Padding`] with any name. The error message then suggests the nearest one.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number, two ([height, width]), \"same\" or \"valid\""
)]
enum PaddingText {
    Pixels(Pair),
    Named(String),
}

impl TryFrom<PaddingText> for Padding {
    type Error = String;

    fn try_from(text: PaddingText) -> Result<Self, String> {
        match text {
            PaddingText::Pixels(pair) => Ok(Self::Pixels(pair)),
            PaddingText::Named(name) => match name.as_str() {
                "same" => Ok(Self::Named(NamedPadding::Same)),
                "valid" => Ok(Self::Named(NamedPadding::Valid)),
                _ => Err(format!(
                    "padding: `{name}` is neither a number nor `same` nor `valid`{}",
                    did_you_mean(&name, ["same", "valid"])
                )),
            },
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PaddingMode {
    #[default]
    Zeros,
    /// Mirrored, without repeating the edge.
    Reflect,
    /// The edge repeated.
    Replicate,
    /// From the opposite side.
    Circular,
}

impl Arguments for Conv2d {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let inputs = agreed("in_channels", self.in_channels, builder.channels()?)?;
        let outputs = positive("out_channels", self.out_channels)?;
        let groups = self.groups;
        if groups < 1 || inputs % groups != 0 || outputs % groups != 0 {
            return Err(Error::usage(format_args!(
                "groups = {groups} does not divide {inputs} input and {outputs} output \
                 channels"
            ))
            .into());
        }
        let kernel = positive_pair("kernel_size", self.kernel_size)?;
        let stride = positive_pair("stride", self.stride)?;
        let dilation = positive_pair("dilation", self.dilation)?;
        let padding = self.explicit_padding(kernel, stride, dilation)?;
        let shape = [outputs, inputs / groups, kernel[0], kernel[1]];
        let (weight, bias) = builder.weight_and_bias(&shape, self.bias)?;
        Ok(Box::new(Conv2dLayer { weight, bias, stride, padding, dilation, groups }))
    }
}

impl Conv2d {
    fn explicit_padding(
        &self,
        kernel: [i64; 2],
        stride: [i64; 2],
        dilation: [i64; 2],
    ) -> Result<ExplicitPadding> {
        let [[top, bottom], [left, right]] =
            self.padded_pixels(kernel, stride, dilation)?;
        let mode = match self.padding_mode {
            PaddingMode::Zeros => "constant",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        };
        let is_even = top == bottom && left == right;
        let is_none = [top, bottom, left, right] == [0; 4];
        if is_none || (is_even && self.padding_mode == PaddingMode::Zeros) {
            return Ok(ExplicitPadding::Inside([top, left]));
        }
        Ok(ExplicitPadding::Before { sides: [left, right, top, bottom], mode })
    }

    /// The padding in pixels before and after, for height and for width.
    fn padded_pixels(
        &self,
        kernel: [i64; 2],
        stride: [i64; 2],
        dilation: [i64; 2],
    ) -> Result<[[i64; 2]; 2]> {
        match self.padding {
            Padding::Named(NamedPadding::Valid) => Ok([[0, 0], [0, 0]]),
            Padding::Named(NamedPadding::Same) if stride != [1, 1] => {
                Err(Error::usage("padding = \"same\" needs stride 1"))
            }
            Padding::Named(NamedPadding::Same) => {
                // If the total is odd, the extra pixel comes after, as in PyTorch.
                let sides = [0, 1].map(|i| {
                    let total = dilation[i] * (kernel[i] - 1);
                    [total / 2, total - total / 2]
                });
                padding(Pair::Each([sides[0][1], sides[1][1]]))?;
                Ok(sides)
            }
            Padding::Pixels(pair) => Ok(padding(pair)?.map(|n| [n, n])),
        }
    }
}

/// Which operation does the padding.
enum ExplicitPadding {
    /// The convolution: pixels of zeros above and below, left and right.
    Inside([i64; 2]),
    /// A separate operation before it, if the convolution cannot do it.
    Before {
        /// Left, right, top, bottom.
        sides: [i64; 4],
        /// The mode of torch.nn.functional.pad.
        mode: &'static str,
    },
}

struct Conv2dLayer {
    /// `[out_channels, in_channels / groups, height, width]`, float32, channels last.
    weight: Tensor,
    /// `[out_channels]`, float32.
    bias: Option<Tensor>,
    stride: [i64; 2],
    padding: ExplicitPadding,
    dilation: [i64; 2],
    groups: i64,
}

impl Layer for Conv2dLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let padded;
        let (x, padding) = match &self.padding {
            ExplicitPadding::Inside(padding) => (x, *padding),
            ExplicitPadding::Before { sides, mode } => {
                padded = x.f_pad(sides, mode, None)?;
                (&padded, [0, 0])
            }
        };
        let weight = mode.cast(&self.weight)?;
        let bias = mode.cast_option(self.bias.as_ref())?;
        let Self { stride, dilation, groups, .. } = *self;
        Ok(conv2d(x, &weight, bias.as_ref(), stride, padding, dilation, groups)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let mut images = x.name.clone();
        let mut pads = [0; 4];
        match &self.padding {
            ExplicitPadding::Inside([top, left]) => pads = [*top, *left, *top, *left],
            ExplicitPadding::Before { sides: [left, right, top, bottom], mode } => {
                let mode = match *mode {
                    "replicate" => "edge",
                    "circular" => "wrap",
                    same => same,
                };
                let sides = graph.ints(&[0, 0, *top, *left, 0, 0, *bottom, *right]);
                let mode = [("mode", Attribute::Text(mode))];
                images = graph.op("Pad", &[&images, &sides], &mode);
            }
        }
        let weight = graph.tensor(&self.weight)?;
        let bias = self.bias.as_ref().map(|bias| graph.tensor(bias)).transpose()?;
        let mut inputs = vec![images.as_str(), weight.as_str()];
        inputs.extend(bias.as_deref());
        let attributes = [
            ("strides", Attribute::Ints(&self.stride)),
            ("pads", Attribute::Ints(&pads)),
            ("dilations", Attribute::Ints(&self.dilation)),
            ("group", Attribute::Int(self.groups)),
        ];
        Ok(graph.op("Conv", &inputs, &attributes))
    }

    fn multiply_adds(&self, _input: &[i64], output: &[i64]) -> u64 {
        let outputs: i64 = output.iter().product();
        let each: i64 = self.weight.size()[1..].iter().product();
        outputs as u64 * each as u64
    }

    fn allows_inplace(&self) -> bool {
        true
    }

    fn forward_pooled(
        &self,
        x: &Tensor,
        window: [i64; 2],
        mode: Mode,
    ) -> Result<Option<Tensor>, LayerError> {
        let ExplicitPadding::Inside(padding) = self.padding else { return Ok(None) };
        let is_plain =
            self.stride == [1, 1] && self.dilation == [1, 1] && self.groups == 1;
        let taps = self.weight.size();
        if !is_plain || !conv_pool::is_chosen(x, &taps, padding, window) {
            return Ok(None);
        }
        let weight = mode.cast(&self.weight)?;
        let bias = mode.cast_option(self.bias.as_ref())?;
        Ok(conv_pool::conv_pool(x, &weight, bias.as_ref(), padding)?)
    }
}
