//! MobileNetV2 (M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear
//! Bottlenecks", 2018) and V3 (A. Howard et al., "Searching for MobileNetV3", 2019), as
//! torchvision has them.

use super::parts::{
    Conv, average_pool_to, batch_norm, batch_norm_of, conv, divisible_by_8, dropout,
    flatten, head, kaiming_convolutions, linear, named, normal_linears, residual,
    sequential, squeeze_excitation,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::{Layer, Module};

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
    let unit =
        |conv: Conv| sequential([conv.into(), batch_norm(), Module::ReLU6 {}.into()]);
    let mut channels = 32;
    let mut features = vec![unit(conv(channels, 3).stride(2))];
    for (expansion, out, blocks, first_stride) in stages {
        for k in 0..blocks {
            let stride = if k == 0 { first_stride } else { 1 };
            let expanded = channels * expansion;
            let mut layers = Vec::new();
            if expansion != 1 {
                layers.push(unit(conv(expanded, 1)));
            }
            layers.extend([
                unit(conv(expanded, 3).stride(stride).depthwise()),
                conv(out, 1).into(),
                batch_norm(),
            ]);
            features.push(block("conv", layers, stride == 1 && channels == out));
            channels = out;
        }
    }
    features.push(unit(conv(1280, 1)));
    let classifier = vec![dropout(options.dropout.unwrap_or(0.2)), head()];
    Ok(network(features, classifier))
}

pub(super) fn mobilenet_v3_small(
    options: &Options,
    _input: [usize; 3],
) -> Result<Network> {
    // Kernel, expanded channels, channels, squeeze and excitation, Hardswish, stride: the
    // paper's table 2.
    let blocks = [
        (3, 16, 16, true, false, 2),
        (3, 72, 24, false, false, 2),
        (3, 88, 24, false, false, 1),
        (5, 96, 40, true, true, 2),
        (5, 240, 40, true, true, 1),
        (5, 240, 40, true, true, 1),
        (5, 120, 48, true, true, 1),
        (5, 144, 48, true, true, 1),
        (5, 288, 96, true, true, 2),
        (5, 576, 96, true, true, 1),
        (5, 576, 96, true, true, 1),
    ];
    Ok(mobilenet_v3(options, &blocks, 1024))
}

pub(super) fn mobilenet_v3_large(
    options: &Options,
    _input: [usize; 3],
) -> Result<Network> {
    // As above: the paper's table 1.
    let blocks = [
        (3, 16, 16, false, false, 1),
        (3, 64, 24, false, false, 2),
        (3, 72, 24, false, false, 1),
        (5, 72, 40, true, false, 2),
        (5, 120, 40, true, false, 1),
        (5, 120, 40, true, false, 1),
        (3, 240, 80, false, true, 2),
        (3, 200, 80, false, true, 1),
        (3, 184, 80, false, true, 1),
        (3, 184, 80, false, true, 1),
        (3, 480, 112, true, true, 1),
        (3, 672, 112, true, true, 1),
        (5, 672, 160, true, true, 2),
        (5, 960, 160, true, true, 1),
        (5, 960, 160, true, true, 1),
    ];
    Ok(mobilenet_v3(options, &blocks, 1280))
}

fn mobilenet_v3(
    options: &Options,
    blocks: &[(i64, i64, i64, bool, bool, i64)],
    last: i64,
) -> Network {
    let unit = |conv: Conv, activation: Option<Module>| {
        let mut layers = vec![conv.into(), batch_norm_of(0.001, 0.01)];
        layers.extend(activation.map(Layer::from));
        sequential(layers)
    };
    let mut channels = 16;
    let mut features =
        vec![unit(conv(channels, 3).stride(2), Some(Module::Hardswish {}))];
    for &(kernel, expanded, out, squeeze, hardswish, stride) in blocks {
        let activation =
            || Some(if hardswish { Module::Hardswish {} } else { Module::ReLU {} });
        let mut layers = Vec::new();
        if expanded != channels {
            layers.push(unit(conv(expanded, 1), activation()));
        }
        layers
            .push(unit(conv(expanded, kernel).stride(stride).depthwise(), activation()));
        if squeeze {
            let squeezed = divisible_by_8(expanded / 4);
            layers.push(squeeze_excitation(
                expanded,
                squeezed,
                Module::ReLU {},
                Module::Hardsigmoid {},
            ));
        }
        layers.push(unit(conv(out, 1), None));
        features.push(block("block", layers, stride == 1 && channels == out));
        channels = out;
    }
    features.push(unit(conv(6 * channels, 1), Some(Module::Hardswish {})));
    let p = options.dropout.unwrap_or(0.2);
    network(features, vec![linear(last), Module::Hardswish {}.into(), dropout(p), head()])
}

/// Layers under a name, with a connection around them or not.
fn block(name: &str, layers: Vec<Layer>, connected: bool) -> Layer {
    let layers = [named(name, sequential(layers))];
    if connected { residual(layers, []) } else { sequential(layers) }
}

fn network(features: Vec<Layer>, classifier: Vec<Layer>) -> Network {
    let layers = vec![
        named("features", sequential(features)),
        named("avgpool", average_pool_to(1)),
        named("flatten", flatten()),
        named("classifier", sequential(classifier)),
    ];
    Network { layers, initialise: vec![kaiming_convolutions(), normal_linears()] }
}
