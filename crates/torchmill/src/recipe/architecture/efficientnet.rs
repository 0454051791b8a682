//! EfficientNet (M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional
//! Neural Networks", 2019), as torchvision has it.

use super::parts::{
    Conv, average_pool_to, batch_norm, conv, dropout, flatten, head,
    kaiming_convolutions, named, residual, sequential, squeeze_excitation, start,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::{FanMode, Init, Layer, Module, Nonlinearity};

pub(super) fn efficientnet_b0(options: &Options, _input: [usize; 3]) -> Result<Network> {
    // Expansion, kernel, stride of the first, channels, blocks: the paper's table 1.
    let stages = [
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ];
    let total: i64 = stages.iter().map(|s| s.4).sum();
    let depth = options.stochastic_depth_prob.unwrap_or(0.2);
    let unit =
        |conv: Conv| sequential([conv.into(), batch_norm(), Module::SiLU {}.into()]);
    let mut channels = 32;
    let mut features = vec![unit(conv(channels, 3).stride(2))];
    let mut index = 0;
    for (expansion, kernel, first_stride, out, blocks) in stages {
        let mut stage = Vec::new();
        for k in 0..blocks {
            let stride = if k == 0 { first_stride } else { 1 };
            let expanded = channels * expansion;
            let mut layers = Vec::new();
            if expansion != 1 {
                layers.push(unit(conv(expanded, 1)));
            }
            layers.extend([
                unit(conv(expanded, kernel).stride(stride).depthwise()),
                squeeze_excitation(
                    expanded,
                    (channels / 4).max(1),
                    Module::SiLU {},
                    Module::Sigmoid {},
                ),
                sequential([conv(out, 1).into(), batch_norm()]),
            ]);
            let block = named("block", sequential(layers));
            stage.push(if stride == 1 && channels == out {
                // The deeper, the likelier to be left out.
                let p = depth * index as f64 / total as f64;
                residual([block, Module::StochasticDepth { p }.into()], [])
            } else {
                sequential([block])
            });
            channels = out;
            index += 1;
        }
        features.push(sequential(stage));
    }
    features.push(unit(conv(4 * channels, 1)));
    let classifier: Vec<Layer> = vec![dropout(options.dropout.unwrap_or(0.2)), head()];
    let layers = vec![
        named("features", sequential(features)),
        named("avgpool", average_pool_to(1)),
        named("flatten", flatten()),
        named("classifier", sequential(classifier)),
    ];
    // Uniform within 1/sqrt(outputs).
    let weight = Init::KaimingUniform {
        a: 5.0_f64.sqrt(),
        mode: FanMode::FanOut,
        nonlinearity: Nonlinearity::LeakyRelu,
    };
    let initialise =
        vec![kaiming_convolutions(), start("Linear", weight, Init::Zeros {})];
    Ok(Network { layers, initialise })
}
