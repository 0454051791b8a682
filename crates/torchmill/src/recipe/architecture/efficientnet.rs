//! EfficientNet (M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional
//! Neural Networks", 2019), as torchvision has it.

use super::parts::{
    average_pool_to, batch_norm, conv, depthwise_conv, dropout, flatten, head,
    kaiming_convolutions, residual, rule, sequential, squeeze_excitation,
    stochastic_depth,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::{FanMode, Init, Layer, Nonlinearity};

/// Blocks of one width.
struct Stage {
    expansion: i64,
    kernel: i64,
    /// The stride of the first block.
    stride: i64,
    channels: i64,
    blocks: i64,
}

/// The paper's table 1.
#[rustfmt::skip]
const STAGES: [Stage; 7] = [
    Stage { expansion: 1, kernel: 3, stride: 1, channels: 16, blocks: 1 },
    Stage { expansion: 6, kernel: 3, stride: 2, channels: 24, blocks: 2 },
    Stage { expansion: 6, kernel: 5, stride: 2, channels: 40, blocks: 2 },
    Stage { expansion: 6, kernel: 3, stride: 2, channels: 80, blocks: 3 },
    Stage { expansion: 6, kernel: 5, stride: 1, channels: 112, blocks: 3 },
    Stage { expansion: 6, kernel: 5, stride: 2, channels: 192, blocks: 4 },
    Stage { expansion: 6, kernel: 3, stride: 1, channels: 320, blocks: 1 },
];

pub(super) fn efficientnet_b0(options: &Options, _input: [usize; 3]) -> Result<Network> {
    let total: i64 = STAGES.iter().map(|stage| stage.blocks).sum();
    let depth = options.stochastic_depth_prob.unwrap_or(0.2);
    let mut channels = 32;
    let mut features = vec![unit(conv(channels, 3).with("stride", 2))];
    let mut index = 0;
    for stage in &STAGES {
        let mut blocks = Vec::new();
        for k in 0..stage.blocks {
            let stride = if k == 0 { stage.stride } else { 1 };
            // The deeper a block is, the likelier it is dropped.
            let p = depth * index as f64 / total as f64;
            blocks.push(block(stage, channels, stride, p));
            channels = stage.channels;
            index += 1;
        }
        features.push(sequential(blocks));
    }
    features.push(unit(conv(4 * channels, 1)));
    let classifier = [dropout(options.dropout.unwrap_or(0.2)), head()];
    let layers = vec![
        sequential(features).named("features"),
        average_pool_to(1).named("avgpool"),
        flatten().named("flatten"),
        sequential(classifier).named("classifier"),
    ];
    // Uniform within 1/sqrt(outputs).
    let weight = Init::KaimingUniform {
        a: 5.0_f64.sqrt(),
        mode: FanMode::FanOut,
        nonlinearity: Nonlinearity::LeakyRelu,
    };
    let initialise = vec![kaiming_convolutions(), rule("Linear", weight, Init::Zeros {})];
    Ok(Network { layers, initialise })
}

/// A block of a stage with `channels` input channels, dropped with probability `p`.
fn block(stage: &Stage, channels: i64, stride: i64, p: f64) -> Layer {
    let expanded = channels * stage.expansion;
    let squeezed = (channels / 4).max(1);
    let mut layers = Vec::new();
    if stage.expansion != 1 {
        layers.push(unit(conv(expanded, 1)));
    }
    layers.push(unit(depthwise_conv(expanded, stage.kernel).with("stride", stride)));
    layers.push(squeeze_excitation(expanded, squeezed, "SiLU", "Sigmoid"));
    layers.push(sequential([conv(stage.channels, 1), batch_norm()]));
    let block = sequential(layers).named("block");
    if stride == 1 && channels == stage.channels {
        residual([block, stochastic_depth(p)], [])
    } else {
        sequential([block])
    }
}

fn unit(conv: Layer) -> Layer {
    sequential([conv, batch_norm(), Layer::new("SiLU")])
}
