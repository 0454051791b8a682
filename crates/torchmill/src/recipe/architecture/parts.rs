//! The building blocks of the architectures.

use crate::recipe::{FanMode, Init, Initialise, Layer, Nonlinearity};

/// A square convolution of stride 1 that keeps the image's size (if the kernel's is odd),
/// without a bias.
pub(super) fn conv(out: i64, kernel: i64) -> Layer {
    Layer::new("Conv2d")
        .with("out_channels", out)
        .with("kernel_size", kernel)
        .with("padding", (kernel - 1) / 2)
        .with("bias", false)
}

/// A convolution with a bias.
pub(super) fn biased_conv(out: i64, kernel: i64) -> Layer {
    conv(out, kernel).with("bias", true)
}

/// A depthwise convolution.
pub(super) fn depthwise_conv(channels: i64, kernel: i64) -> Layer {
    conv(channels, kernel).with("groups", channels)
}

/// A convolution that turns every `size` x `size` pixels into one.
pub(super) fn patches(out: i64, size: i64) -> Layer {
    biased_conv(out, size).with("stride", size).with("padding", 0)
}

/// A sequence of layers, as one layer.
pub(super) fn sequential(layers: impl Into<Vec<Layer>>) -> Layer {
    Layer::new("Sequential").with("layer", layers.into())
}

/// `shortcut(x) + layers(x)`. Without a shortcut, it is the identity.
pub(super) fn residual(
    layers: impl Into<Vec<Layer>>,
    shortcut: impl Into<Vec<Layer>>,
) -> Layer {
    let residual = Layer::new("Residual").with("layer", layers.into());
    let shortcut = shortcut.into();
    if shortcut.is_empty() { residual } else { residual.with("shortcut", shortcut) }
}

/// BatchNorm2d with PyTorch's defaults.
pub(super) fn batch_norm() -> Layer {
    Layer::new("BatchNorm2d")
}

pub(super) fn layer_norm(eps: f64) -> Layer {
    Layer::new("LayerNorm").with("eps", eps)
}

pub(super) fn linear(out: i64) -> Layer {
    Layer::new("Linear").with("out_features", out)
}

/// The last layer: an output for each class.
pub(super) fn head() -> Layer {
    Layer::new("Linear")
}

pub(super) fn relu() -> Layer {
    Layer::new("ReLU")
}

pub(super) fn dropout(p: f64) -> Layer {
    Layer::new("Dropout").with("p", p)
}

pub(super) fn flatten() -> Layer {
    Layer::new("Flatten")
}

pub(super) fn max_pool(kernel: i64) -> Layer {
    Layer::new("MaxPool2d").with("kernel_size", kernel)
}

pub(super) fn average_pool_to(size: i64) -> Layer {
    Layer::new("AdaptiveAvgPool2d").with("output_size", size)
}

/// torchvision.ops.StochasticDepth.
pub(super) fn stochastic_depth(p: f64) -> Layer {
    Layer::new("StochasticDepth").with("p", p)
}

/// torchvision.ops.Permute.
pub(super) fn permute(dims: [i64; 4]) -> Layer {
    Layer::new("Permute").with("dims", dims.to_vec())
}

/// torchvision.ops.SqueezeExcitation (J. Hu et al., "Squeeze-and-Excitation Networks",
/// 2017), with layers of these classes for its activation and its scale.
pub(super) fn squeeze_excitation(
    channels: i64,
    squeezed: i64,
    activation: &str,
    scale: &str,
) -> Layer {
    let layers = vec![
        average_pool_to(1),
        biased_conv(squeezed, 1).named("fc1"),
        Layer::new(activation),
        biased_conv(channels, 1).named("fc2"),
        Layer::new(scale),
    ];
    Layer::new("Gate").with("layer", layers)
}

/// A rule for all layers of a class.
pub(super) fn rule(class: &str, weight: Init, bias: Init) -> Initialise {
    Initialise {
        module: Some(class.to_owned()),
        name: None,
        weight: Some(weight),
        bias: Some(bias),
    }
}

/// `kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")`, and no bias.
pub(super) fn kaiming_convolutions() -> Initialise {
    let weight = Init::KaimingNormal {
        a: 0.0,
        mode: FanMode::FanOut,
        nonlinearity: Nonlinearity::Relu,
    };
    rule("Conv2d", weight, Init::Zeros {})
}

/// `normal_(weight, 0, 0.01)`, and no bias.
pub(super) fn normal_linears() -> Initialise {
    rule("Linear", Init::Normal { mean: 0.0, std: 0.01 }, Init::Zeros {})
}

/// Channels as torchvision rounds them: to the nearest multiple of 8, but not by more
/// than a tenth down.
pub(super) fn divisible_by_8(channels: i64) -> i64 {
    let rounded = ((channels + 4) / 8 * 8).max(8);
    if rounded * 10 < channels * 9 { rounded + 8 } else { rounded }
}
