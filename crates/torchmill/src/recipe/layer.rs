//! The layers of a `[model]`, in torch.nn's names, with its arguments and defaults.
//!
//! What follows from the layer before (`in_channels`, `in_features`, `num_features`) may
//! be left out, as may the last layer's `out_features`, which is then the number of
//! classes.

use serde::{Deserialize, Serialize};

use super::Initialise;
use crate::suggest;

/// A layer, what it is called and how its weights start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// What it is called in the state dict in place of its index: `conv1` for
    /// `conv1.weight`. Layers with a name in a [`Module::Residual`] are called so
    /// directly under it. The empty name adds nothing: the layers within are called as if
    /// they stood where this one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the weights within start, where not by torch.nn's defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initialise: Vec<Initialise>,
    /// What it computes.
    #[serde(flatten)]
    pub module: Module,
}

impl From<Module> for Layer {
    fn from(module: Module) -> Self {
        Self { name: None, initialise: Vec::new(), module }
    }
}

/// One number for both dimensions, or one each for height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or two: [height, width]")]
pub enum Pair {
    /// The same for height and width.
    Both(i64),
    /// Height, then width.
    Each([i64; 2]),
}

impl Pair {
    /// `[height, width]`.
    pub fn get(self) -> [i64; 2] {
        match self {
            Self::Both(n) => [n, n],
            Self::Each(pair) => pair,
        }
    }
}

/// One number, or one for each of the last dimensions (LayerNorm's `normalized_shape`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or a list of them")]
pub enum Dims {
    /// The last dimension.
    One(i64),
    /// The last dimensions.
    Many(Vec<i64>),
}

/// Conv2d's `padding`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "PaddingText")]
pub enum Padding {
    /// So many on each side.
    Pixels(Pair),
    /// `same` (the output has the input's size; stride 1 only) or `valid` (none).
    Named(NamedPadding),
}

/// [`Padding`] with any name, so that a misspelt one can be told.
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
                    suggest::did_you_mean(&name, ["same", "valid"])
                )),
            },
        }
    }
}

/// `same` or `valid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedPadding {
    /// The output has the input's size.
    Same,
    /// No padding.
    Valid,
}

/// Conv2d's `padding_mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// Mirrored without repeating the edge.
    Reflect,
    /// The edge repeated.
    Replicate,
    /// From the other side.
    Circular,
}

/// A module of torch.nn: its class's name and arguments. Those after `Identity` are
/// blocks of other layers, and what torchvision's architectures are made of besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "variants and fields are torch.nn's classes and arguments, by name"
)]
pub enum Module {
    Conv2d {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_channels: Option<i64>,
        out_channels: i64,
        kernel_size: Pair,
        #[serde(default = "one")]
        stride: Pair,
        #[serde(default = "no_padding")]
        padding: Padding,
        #[serde(default = "one")]
        dilation: Pair,
        #[serde(default = "single")]
        groups: i64,
        #[serde(default = "yes")]
        bias: bool,
        #[serde(default)]
        padding_mode: PaddingMode,
    },
    Linear {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_features: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out_features: Option<i64>,
        #[serde(default = "yes")]
        bias: bool,
    },
    MaxPool2d {
        kernel_size: Pair,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Pair>,
        #[serde(default = "zero")]
        padding: Pair,
        #[serde(default = "one")]
        dilation: Pair,
        #[serde(default)]
        ceil_mode: bool,
    },
    AvgPool2d {
        kernel_size: Pair,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Pair>,
        #[serde(default = "zero")]
        padding: Pair,
        #[serde(default)]
        ceil_mode: bool,
        #[serde(default = "yes")]
        count_include_pad: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        divisor_override: Option<i64>,
    },
    AdaptiveAvgPool2d {
        output_size: Pair,
    },
    BatchNorm2d {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        num_features: Option<i64>,
        #[serde(default = "epsilon")]
        eps: f64,
        #[serde(default = "momentum")]
        momentum: f64,
        #[serde(default = "yes")]
        affine: bool,
        #[serde(default = "yes")]
        track_running_stats: bool,
    },
    GroupNorm {
        num_groups: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        num_channels: Option<i64>,
        #[serde(default = "epsilon")]
        eps: f64,
        #[serde(default = "yes")]
        affine: bool,
    },
    LayerNorm {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        normalized_shape: Option<Dims>,
        #[serde(default = "epsilon")]
        eps: f64,
        #[serde(default = "yes")]
        elementwise_affine: bool,
        #[serde(default = "yes")]
        bias: bool,
    },
    Dropout {
        #[serde(default = "half")]
        p: f64,
    },
    Flatten {
        #[serde(default = "first")]
        start_dim: i64,
        #[serde(default = "last")]
        end_dim: i64,
    },
    ReLU {},
    ReLU6 {},
    LeakyReLU {
        #[serde(default = "slope")]
        negative_slope: f64,
    },
    GELU {
        #[serde(default)]
        approximate: Approximate,
    },
    SiLU {},
    Hardswish {},
    Hardsigmoid {},
    Tanh {},
    Sigmoid {},
    Softmax {
        dim: i64,
    },
    LogSoftmax {
        dim: i64,
    },
    Identity {},
    /// Layers in a row, as one: parameters are called `INDEX.0.weight`.
    Sequential {
        #[serde(rename = "layer")]
        layers: Vec<Layer>,
    },
    /// `shortcut(x) + layers(x)`; the shortcut is the identity where it is left out.
    /// Parameters are called `INDEX.layers.0.weight` and `INDEX.shortcut.0.weight`; those
    /// of layers with a name `INDEX.NAME.weight`.
    Residual {
        #[serde(rename = "layer")]
        layers: Vec<Layer>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<Layer>,
    },
    /// The same layers several times over, each with its own parameters: an
    /// `nn.Sequential` of `times` `nn.Sequential`s.
    Repeat {
        times: usize,
        #[serde(rename = "layer")]
        layers: Vec<Layer>,
    },
    /// `x * layers(x)`, as in squeeze and excitation. Parameters are called as a
    /// Sequential's.
    Gate {
        #[serde(rename = "layer")]
        layers: Vec<Layer>,
    },
    /// torchvision.ops.StochasticDepth with `mode="row"`: in training, each image's whole
    /// input is zeroed with probability `p` and otherwise divided by `1 - p`.
    StochasticDepth {
        p: f64,
    },
    /// torchvision.ops.Permute: `dims` count the batch's dimension, too.
    Permute {
        dims: Vec<i64>,
    },
    /// `x.select(dim, index)`.
    Select {
        dim: i64,
        index: i64,
    },
    /// ConvNeXt's: LayerNorm over the channels of `[C, H, W]`.
    LayerNorm2d {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        num_channels: Option<i64>,
        #[serde(default = "epsilon")]
        eps: f64,
    },
    /// ConvNeXt's: `[C, H, W]` times a trained factor for each channel, which starts at
    /// `init`. The parameter is called as the layer itself.
    LayerScale {
        init: f64,
    },
    /// The vision transformer's: a trained token, zeros at the start, is put before those
    /// of `[N, E]`. The parameter is called as the layer itself.
    ClassToken {},
    /// The vision transformer's: adds a trained embedding, drawn from
    /// `normal_(std=0.02)`, to `[N, E]`. The parameter is called as the layer itself.
    PositionEmbedding {},
    /// torch.nn.MultiheadAttention with `batch_first=True`, of `[N, E]` with itself.
    MultiheadAttention {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        embed_dim: Option<i64>,
        num_heads: i64,
        #[serde(default)]
        dropout: f64,
    },
}

/// GELU's `approximate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approximate {
    /// The exact function.
    #[default]
    None,
    /// Its tanh approximation.
    Tanh,
}

impl Approximate {
    /// PyTorch's value of the argument: `none` or `tanh`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tanh => "tanh",
        }
    }
}

impl Module {
    /// Whether it gives the shape that it gets, whatever that is.
    pub fn keeps_shape(&self) -> bool {
        match self {
            Self::ReLU {}
            | Self::ReLU6 {}
            | Self::LeakyReLU { .. }
            | Self::GELU { .. }
            | Self::SiLU {}
            | Self::Hardswish {}
            | Self::Hardsigmoid {}
            | Self::Tanh {}
            | Self::Sigmoid {}
            | Self::Softmax { .. }
            | Self::LogSoftmax { .. }
            | Self::LayerNorm { .. }
            | Self::Dropout { .. }
            | Self::StochasticDepth { .. }
            | Self::Identity {} => true,
            Self::Sequential { layers } => {
                layers.iter().all(|layer| layer.module.keeps_shape())
            }
            _ => false,
        }
    }

    /// Whether what it gives are logarithms of probabilities.
    fn gives_log_probabilities(&self) -> bool {
        match self {
            Self::LogSoftmax { dim } => [1, -1].contains(dim),
            Self::Sequential { layers } | Self::Repeat { layers, .. } => {
                end_in_log_softmax(layers)
            }
            _ => false,
        }
    }

    /// The class's name in torch.nn or torchvision (`Residual`, `Repeat` and `Gate` are
    /// ours).
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "Conv2d",
            Self::Linear { .. } => "Linear",
            Self::MaxPool2d { .. } => "MaxPool2d",
            Self::AvgPool2d { .. } => "AvgPool2d",
            Self::AdaptiveAvgPool2d { .. } => "AdaptiveAvgPool2d",
            Self::BatchNorm2d { .. } => "BatchNorm2d",
            Self::GroupNorm { .. } => "GroupNorm",
            Self::LayerNorm { .. } => "LayerNorm",
            Self::Dropout { .. } => "Dropout",
            Self::Flatten { .. } => "Flatten",
            Self::ReLU {} => "ReLU",
            Self::ReLU6 {} => "ReLU6",
            Self::LeakyReLU { .. } => "LeakyReLU",
            Self::GELU { .. } => "GELU",
            Self::SiLU {} => "SiLU",
            Self::Hardswish {} => "Hardswish",
            Self::Hardsigmoid {} => "Hardsigmoid",
            Self::Tanh {} => "Tanh",
            Self::Sigmoid {} => "Sigmoid",
            Self::Softmax { .. } => "Softmax",
            Self::LogSoftmax { .. } => "LogSoftmax",
            Self::Identity {} => "Identity",
            Self::Sequential { .. } => "Sequential",
            Self::Residual { .. } => "Residual",
            Self::Repeat { .. } => "Repeat",
            Self::Gate { .. } => "Gate",
            Self::StochasticDepth { .. } => "StochasticDepth",
            Self::Permute { .. } => "Permute",
            Self::Select { .. } => "Select",
            Self::LayerNorm2d { .. } => "LayerNorm2d",
            Self::LayerScale { .. } => "LayerScale",
            Self::ClassToken {} => "ClassToken",
            Self::PositionEmbedding {} => "PositionEmbedding",
            Self::MultiheadAttention { .. } => "MultiheadAttention",
        }
    }
}

/// Whether the last layer that does anything is LogSoftmax over the classes.
pub(super) fn end_in_log_softmax(layers: &[Layer]) -> bool {
    let idle =
        |module: &Module| matches!(module, Module::Identity {} | Module::Flatten { .. });
    let last =
        layers.iter().rev().map(|layer| &layer.module).find(|module| !idle(module));
    last.is_some_and(Module::gives_log_probabilities)
}

fn one() -> Pair {
    Pair::Both(1)
}
fn zero() -> Pair {
    Pair::Both(0)
}
fn no_padding() -> Padding {
    Padding::Pixels(zero())
}
fn single() -> i64 {
    1
}
fn yes() -> bool {
    true
}
fn epsilon() -> f64 {
    1e-5
}
fn momentum() -> f64 {
    0.1
}
fn half() -> f64 {
    0.5
}
fn first() -> i64 {
    1
}
fn last() -> i64 {
    -1
}
fn slope() -> f64 {
    0.01
}
