//! MobileNetV2 (M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear
//! Bottlenecks", 2018) and V3 (A. Howard et al., "Searching for MobileNetV3", 2019), as
//! torchvision has them.

use super::parts::{
    average_pool_to, batch_norm, conv, depthwise_conv, divisible_by_8, dropout, flatten,
    head, kaiming_convolutions, linear, normal_linears, residual, sequential,
    squeeze_excitation,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::Layer;

pub(super) fn mobilenet_v2(options: &Options, _input: [usize; 3]) -> Result<Network> {
    // Expansion, channels, blocks, stride of the first: the paper's table 2.
    let stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    let unit = |conv: Layer| sequential([conv, batch_norm(), Layer::new("ReLU6")]);
    let mut channels = 32;
    let mut features = vec![unit(conv(channels, 3).with("stride", 2))];
    for (expansion, out, blocks, first_stride) in stages {
        for k in 0..blocks {
            let stride = if k == 0 { first_stride } else { 1 };
            let expanded = channels * expansion;
            let mut layers = Vec::new();
            if expansion != 1 {
                layers.push(unit(conv(expanded, 1)));
            }
            layers.push(unit(depthwise_conv(expanded, 3).with("stride", stride)));
            layers.push(conv(out, 1));
            layers.push(batch_norm());
            features.push(block("conv", layers, stride == 1 && channels == out));
            channels = out;
        }
    }
    features.push(unit(conv(1280, 1)));
    let classifier = vec![dropout(options.dropout.unwrap_or(0.2)), head()];
    Ok(network(features, classifier))
}

/// A block of MobileNetV3.
struct Block {
    kernel: i64,
    expanded: i64,
    out: i64,
    /// Whether it has squeeze and excitation.
    squeezes: bool,
    /// The class of its activations.
    activation: &'static str,
    stride: i64,
}

/// A row of the paper's tables.
const fn row(
    kernel: i64,
    expanded: i64,
    out: i64,
    squeezes: bool,
    activation: &'static str,
    stride: i64,
) -> Block {
    Block { kernel, expanded, out, squeezes, activation, stride }
}

const RE: &str = "ReLU";
const HS: &str = "Hardswish";

/// The paper's table 2.
const SMALL: [Block; 11] = [
    row(3, 16, 16, true, RE, 2),
    row(3, 72, 24, false, RE, 2),
    row(3, 88, 24, false, RE, 1),
    row(5, 96, 40, true, HS, 2),
    row(5, 240, 40, true, HS, 1),
    row(5, 240, 40, true, HS, 1),
    row(5, 120, 48, true, HS, 1),
    row(5, 144, 48, true, HS, 1),
    row(5, 288, 96, true, HS, 2),
    row(5, 576, 96, true, HS, 1),
    row(5, 576, 96, true, HS, 1),
];

/// The paper's table 1.
const LARGE: [Block; 15] = [
    row(3, 16, 16, false, RE, 1),
    row(3, 64, 24, false, RE, 2),
    row(3, 72, 24, false, RE, 1),
    row(5, 72, 40, true, RE, 2),
    row(5, 120, 40, true, RE, 1),
    row(5, 120, 40, true, RE, 1),
    row(3, 240, 80, false, HS, 2),
    row(3, 200, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 480, 112, true, HS, 1),
    row(3, 672, 112, true, HS, 1),
    row(5, 672, 160, true, HS, 2),
    row(5, 960, 160, true, HS, 1),
    row(5, 960, 160, true, HS, 1),
];

pub(super) fn mobilenet_v3_small(
    options: &Options,
    _input: [usize; 3],
) -> Result<Network> {
    Ok(mobilenet_v3(options, &SMALL, 1024))
}

pub(super) fn mobilenet_v3_large(
    options: &Options,
    _input: [usize; 3],
) -> Result<Network> {
    Ok(mobilenet_v3(options, &LARGE, 1280))
}

fn mobilenet_v3(options: &Options, blocks: &[Block], last: i64) -> Network {
    let mut channels = 16;
    let mut features = vec![v3_unit(conv(channels, 3).with("stride", 2), HS)];
    for row in blocks {
        let is_connected = row.stride == 1 && channels == row.out;
        features.push(block("block", v3_layers(row, channels), is_connected));
        channels = row.out;
    }
    features.push(v3_unit(conv(6 * channels, 1), HS));
    let p = options.dropout.unwrap_or(0.2);
    network(features, vec![linear(last), Layer::new(HS), dropout(p), head()])
}

fn v3_layers(row: &Block, channels: i64) -> Vec<Layer> {
    let expanded = row.expanded;
    let mut layers = Vec::new();
    if expanded != channels {
        layers.push(v3_unit(conv(expanded, 1), row.activation));
    }
    let depthwise = depthwise_conv(expanded, row.kernel).with("stride", row.stride);
    layers.push(v3_unit(depthwise, row.activation));
    if row.squeezes {
        let squeezed = divisible_by_8(expanded / 4);
        layers.push(squeeze_excitation(expanded, squeezed, "ReLU", "Hardsigmoid"));
    }
    layers.push(sequential([conv(row.out, 1), v3_batch_norm()]));
    layers
}

fn v3_unit(conv: Layer, activation: &str) -> Layer {
    sequential([conv, v3_batch_norm(), Layer::new(activation)])
}

fn v3_batch_norm() -> Layer {
    batch_norm().with("eps", 0.001).with("momentum", 0.01)
}

/// Layers under a name, with or without a connection around them.
fn block(name: &str, layers: Vec<Layer>, is_connected: bool) -> Layer {
    let layers = [sequential(layers).named(name)];
    if is_connected { residual(layers, []) } else { sequential(layers) }
}

fn network(features: Vec<Layer>, classifier: Vec<Layer>) -> Network {
    let layers = vec![
        sequential(features).named("features"),
        average_pool_to(1).named("avgpool"),
        flatten().named("flatten"),
        sequential(classifier).named("classifier"),
    ];
    Network { layers, initialise: vec![kaiming_convolutions(), normal_linears()] }
}
