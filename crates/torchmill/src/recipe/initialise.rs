//! `initialise`: how weights are initialised if not by torch.nn's defaults, in the terms
//! of torch.nn.init.

use serde::{Deserialize, Serialize};

/// A rule for the layers that it names. If several rules fit a layer, the first one
/// counts. As in PyTorch's `for m in self.modules(): nn.init...`, a rule runs after all
/// the layers that it covers have been created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initialise {
    /// Only layers of this class: `Conv2d`, `Linear`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Only layers whose name within the layer that has the rule fits this pattern, with
    /// `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Init>,
    /// For the bias, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<Init>,
}

/// A function of torch.nn.init with its arguments and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "variants and fields are torch.nn.init's functions and arguments, by name"
)]
pub enum Init {
    #[serde(rename = "zeros_")]
    Zeros {},
    #[serde(rename = "ones_")]
    Ones {},
    #[serde(rename = "constant_")]
    Constant { val: f64 },
    #[serde(rename = "uniform_")]
    Uniform {
        #[serde(default)]
        a: f64,
        #[serde(default = "one")]
        b: f64,
    },
    #[serde(rename = "normal_")]
    Normal {
        #[serde(default)]
        mean: f64,
        #[serde(default = "one")]
        std: f64,
    },
    #[serde(rename = "trunc_normal_")]
    TruncNormal {
        #[serde(default)]
        mean: f64,
        #[serde(default = "one")]
        std: f64,
        #[serde(default = "minus_two")]
        a: f64,
        #[serde(default = "two")]
        b: f64,
    },
    #[serde(rename = "xavier_uniform_")]
    XavierUniform {
        #[serde(default = "one")]
        gain: f64,
    },
    #[serde(rename = "xavier_normal_")]
    XavierNormal {
        #[serde(default = "one")]
        gain: f64,
    },
    #[serde(rename = "kaiming_uniform_")]
    KaimingUniform {
        #[serde(default)]
        a: f64,
        #[serde(default)]
        mode: FanMode,
        #[serde(default)]
        nonlinearity: Nonlinearity,
    },
    #[serde(rename = "kaiming_normal_")]
    KaimingNormal {
        #[serde(default)]
        a: f64,
        #[serde(default)]
        mode: FanMode,
        #[serde(default)]
        nonlinearity: Nonlinearity,
    },
    /// Convolutions that return their input, for as many channels as they have outputs.
    #[serde(rename = "dirac_")]
    Dirac {
        #[serde(default = "single")]
        groups: i64,
        /// Whether outputs beyond the number of inputs keep their values, which
        /// torch.nn.init has no option for; otherwise they become zeros.
        #[serde(default, skip_serializing_if = "is_false")]
        keep_rest: bool,
    },
    /// Filters that whiten patches of the training images, which torch.nn.init does not
    /// have. Only the convolution that gets the images can use it.
    #[serde(rename = "whitening_")]
    Whitening {
        #[serde(default = "small")]
        eps: f64,
        /// The number of training images that it uses.
        #[serde(default = "five_thousand")]
        images: usize,
    },
}

/// The number of training images that whitening uses.
fn five_thousand() -> usize {
    5_000
}

fn small() -> f64 {
    5e-4
}

fn single() -> i64 {
    1
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Which of a weight's two counts of connections kaiming's bound uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanMode {
    /// Those into an output.
    #[default]
    FanIn,
    /// Those out of an input.
    FanOut,
}

/// The nonlinearity after the layer, which decides kaiming's gain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// With the slope `a`.
    #[default]
    LeakyRelu,
    /// The gain is sqrt(2).
    Relu,
    /// The gain is 5/3.
    Tanh,
    /// The gain is 1.
    Linear,
}

fn one() -> f64 {
    1.0
}
fn two() -> f64 {
    2.0
}
fn minus_two() -> f64 {
    -2.0
}
