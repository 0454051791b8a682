//! ResNet (K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image
//! Recognition", 2015), as torchvision has it: a bottleneck's stride is in its 3x3
//! convolution.

use super::parts::{
    average_pool_to, batch_norm, conv, flatten, head, kaiming_convolutions, max_pool,
    relu, residual, sequential,
};
use super::{Network, Options, Stem};
use crate::Result;
use crate::recipe::Layer;

pub(super) fn resnet18(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(resnet(options, [2, 2, 2, 2], &BASIC))
}

pub(super) fn resnet34(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(resnet(options, [3, 4, 6, 3], &BASIC))
}

pub(super) fn resnet50(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(resnet(options, [3, 4, 6, 3], &BOTTLENECK))
}

/// What the blocks of a network are.
struct Block {
    /// The number of output channels of a block per inner channel.
    expansion: i64,
    /// Its layers, for a number of inner channels and a stride.
    layers: fn(i64, i64) -> Vec<Layer>,
}

const BASIC: Block = Block { expansion: 1, layers: basic_layers };
const BOTTLENECK: Block = Block { expansion: 4, layers: bottleneck_layers };

fn resnet(options: &Options, blocks: [usize; 4], block: &Block) -> Network {
    let mut layers = stem(options.stem.unwrap_or_default());
    let mut channels = 64;
    for (i, count) in blocks.into_iter().enumerate() {
        let planes = 64 << i;
        let out = planes * block.expansion;
        let mut stage = Vec::new();
        for k in 0..count {
            let stride = if i > 0 && k == 0 { 2 } else { 1 };
            let mut shortcut = Vec::new();
            if stride != 1 || channels != out {
                let projection = [conv(out, 1).with("stride", stride), batch_norm()];
                shortcut.push(sequential(projection).named("downsample"));
            }
            let sum = residual((block.layers)(planes, stride), shortcut).named("");
            stage.push(sequential([sum, relu().named("relu")]));
            channels = out;
        }
        layers.push(sequential(stage).named(format!("layer{}", i + 1)));
    }
    layers.extend([
        average_pool_to(1).named("avgpool"),
        flatten().named("flatten"),
        head().named("fc"),
    ]);
    Network { layers, initialise: vec![kaiming_convolutions()] }
}

fn stem(stem: Stem) -> Vec<Layer> {
    let first = match stem {
        Stem::Imagenet => conv(64, 7).with("stride", 2),
        Stem::Cifar => conv(64, 3),
    };
    let mut layers =
        vec![first.named("conv1"), batch_norm().named("bn1"), relu().named("relu")];
    if stem == Stem::Imagenet {
        let pool = max_pool(3).with("stride", 2).with("padding", 1);
        layers.push(pool.named("maxpool"));
    }
    layers
}

fn basic_layers(planes: i64, stride: i64) -> Vec<Layer> {
    vec![
        conv(planes, 3).with("stride", stride).named("conv1"),
        batch_norm().named("bn1"),
        relu().named("relu"),
        conv(planes, 3).named("conv2"),
        batch_norm().named("bn2"),
    ]
}

fn bottleneck_layers(planes: i64, stride: i64) -> Vec<Layer> {
    vec![
        conv(planes, 1).named("conv1"),
        batch_norm().named("bn1"),
        relu().named("relu"),
        conv(planes, 3).with("stride", stride).named("conv2"),
        batch_norm().named("bn2"),
        relu().named("relu"),
        conv(4 * planes, 1).named("conv3"),
        batch_norm().named("bn3"),
    ]
}
