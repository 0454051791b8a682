//! What the architectures are put together from.

use crate::recipe::{
    FanMode, Init, Initialise, Layer, Module, Nonlinearity, Padding, PaddingMode, Pair,
};

/// A square convolution of stride 1 that keeps the image's size (if the kernel's is odd),
/// without a bias.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    out: i64,
    kernel: i64,
    stride: i64,
    padding: i64,
    groups: i64,
    bias: bool,
}

pub(super) fn conv(out: i64, kernel: i64) -> Conv {
    Conv { out, kernel, stride: 1, padding: (kernel - 1) / 2, groups: 1, bias: false }
}

/// Every `size` x `size` pixels, turned into one.
pub(super) fn patches(out: i64, size: i64) -> Conv {
    Conv { stride: size, padding: 0, ..conv(out, size) }.bias()
}

impl Conv {
    pub(super) fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    pub(super) fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    pub(super) fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Each channel for itself.
    pub(super) fn depthwise(self) -> Self {
        Self { groups: self.out, ..self }
    }
}

impl From<Conv> for Layer {
    fn from(conv: Conv) -> Self {
        Module::Conv2d {
            in_channels: None,
            out_channels: conv.out,
            kernel_size: Pair::Both(conv.kernel),
            stride: Pair::Both(conv.stride),
            padding: Padding::Pixels(Pair::Both(conv.padding)),
            dilation: Pair::Both(1),
            groups: conv.groups,
            bias: conv.bias,
            padding_mode: PaddingMode::Zeros,
        }
        .into()
    }
}

pub(super) fn named(name: impl Into<String>, layer: impl Into<Layer>) -> Layer {
    Layer { name: Some(name.into()), ..layer.into() }
}

pub(super) fn sequential(layers: impl Into<Vec<Layer>>) -> Layer {
    Module::Sequential { layers: layers.into() }.into()
}

pub(super) fn residual(
    layers: impl Into<Vec<Layer>>,
    shortcut: impl Into<Vec<Layer>>,
) -> Layer {
    Module::Residual { layers: layers.into(), shortcut: shortcut.into() }.into()
}

/// BatchNorm2d with PyTorch's defaults.
pub(super) fn batch_norm() -> Layer {
    batch_norm_of(1e-5, 0.1)
}

pub(super) fn batch_norm_of(eps: f64, momentum: f64) -> Layer {
    Module::BatchNorm2d {
        num_features: None,
        eps,
        momentum,
        affine: true,
        track_running_stats: true,
    }
    .into()
}

pub(super) fn layer_norm(eps: f64) -> Layer {
    Module::LayerNorm {
        normalized_shape: None,
        eps,
        elementwise_affine: true,
        bias: true,
    }
    .into()
}

pub(super) fn linear(out: i64) -> Layer {
    Module::Linear { in_features: None, out_features: Some(out), bias: true }.into()
}

/// The last layer: an output a class.
pub(super) fn head() -> Layer {
    Module::Linear { in_features: None, out_features: None, bias: true }.into()
}

pub(super) fn relu() -> Layer {
    Module::ReLU {}.into()
}

pub(super) fn dropout(p: f64) -> Layer {
    Module::Dropout { p }.into()
}

pub(super) fn flatten() -> Layer {
    Module::Flatten { start_dim: 1, end_dim: -1 }.into()
}

pub(super) fn max_pool(kernel: i64, stride: i64, padding: i64) -> Layer {
    Module::MaxPool2d {
        kernel_size: Pair::Both(kernel),
        stride: Some(Pair::Both(stride)),
        padding: Pair::Both(padding),
        dilation: Pair::Both(1),
        ceil_mode: false,
    }
    .into()
}

pub(super) fn average_pool_to(size: i64) -> Layer {
    Module::AdaptiveAvgPool2d { output_size: Pair::Both(size) }.into()
}

/// torchvision.ops.SqueezeExcitation (J. Hu et al., "Squeeze-and-Excitation Networks",
/// 2017).
pub(super) fn squeeze_excitation(
    channels: i64,
    squeezed: i64,
    activation: Module,
    scale: Module,
) -> Layer {
    let layers = vec![
        average_pool_to(1),
        named("fc1", conv(squeezed, 1).bias()),
        activation.into(),
        named("fc2", conv(channels, 1).bias()),
        scale.into(),
    ];
    Module::Gate { layers }.into()
}

/// A rule for all layers of a class.
pub(super) fn start(module: &str, weight: Init, bias: Init) -> Initialise {
    Initialise {
        module: Some(module.to_owned()),
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
    start("Conv2d", weight, Init::Zeros {})
}

/// `normal_(weight, 0, 0.01)`, and no bias.
pub(super) fn normal_linears() -> Initialise {
    start("Linear", Init::Normal { mean: 0.0, std: 0.01 }, Init::Zeros {})
}

/// Channels as torchvision rounds them: to the nearest multiple of 8, but not by more
/// than a tenth down.
pub(super) fn divisible_by_8(channels: i64) -> i64 {
    let rounded = ((channels + 4) / 8 * 8).max(8);
    if rounded * 10 < channels * 9 { rounded + 8 } else { rounded }
}
