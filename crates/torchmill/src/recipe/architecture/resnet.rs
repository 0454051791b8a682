//! ResNet (K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image
//! Recognition", 2015), as torchvision has it: a bottleneck's stride is in its 3x3
//! convolution.

use super::parts::{
    average_pool_to, batch_norm, conv, flatten, head, kaiming_convolutions, max_pool,
    named, relu, residual, sequential,
};
use super::{Network, Options, Stem};
use crate::Result;
use crate::recipe::Layer;

pub(super) fn resnet18(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(resnet(options, [2, 2, 2, 2], false))
}

pub(super) fn resnet34(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(resnet(options, [3, 4, 6, 3], false))
}

pub(super) fn resnet50(options: &Options, _input: [usize; 3]) -> Result<Network> {
    Ok(resnet(options, [3, 4, 6, 3], true))
}

fn resnet(options: &Options, blocks: [usize; 4], bottleneck: bool) -> Network {
    let stem = options.stem.unwrap_or_default();
    let first = match stem {
        Stem::Imagenet => conv(64, 7).stride(2),
        Stem::Cifar => conv(64, 3),
    };
    let mut layers =
        vec![named("conv1", first), named("bn1", batch_norm()), named("relu", relu())];
    if stem == Stem::Imagenet {
        layers.push(named("maxpool", max_pool(3, 2, 1)));
    }
    let mut channels = 64;
    for (i, count) in blocks.into_iter().enumerate() {
        let planes = 64 << i;
        let out = if bottleneck { 4 * planes } else { planes };
        let stage: Vec<Layer> = (0..count)
            .map(|k| {
                let stride = if i > 0 && k == 0 { 2 } else { 1 };
                let inner = if bottleneck {
                    bottleneck_block(planes, stride)
                } else {
                    basic_block(planes, stride)
                };
                let projected = stride != 1 || channels != out;
                channels = out;
                let shortcut = projected.then(|| {
                    named(
                        "downsample",
                        sequential([conv(out, 1).stride(stride).into(), batch_norm()]),
                    )
                });
                let shortcut: Vec<Layer> = shortcut.into_iter().collect();
                sequential([named("", residual(inner, shortcut)), named("relu", relu())])
            })
            .collect();
        layers.push(named(format!("layer{}", i + 1), sequential(stage)));
    }
    layers.extend([
        named("avgpool", average_pool_to(1)),
        named("flatten", flatten()),
        named("fc", head()),
    ]);
    Network { layers, initialise: vec![kaiming_convolutions()] }
}

fn basic_block(planes: i64, stride: i64) -> Vec<Layer> {
    vec![
        named("conv1", conv(planes, 3).stride(stride)),
        named("bn1", batch_norm()),
        named("relu", relu()),
        named("conv2", conv(planes, 3)),
        named("bn2", batch_norm()),
    ]
}

fn bottleneck_block(planes: i64, stride: i64) -> Vec<Layer> {
    vec![
        named("conv1", conv(planes, 1)),
        named("bn1", batch_norm()),
        named("relu", relu()),
        named("conv2", conv(planes, 3).stride(stride)),
        named("bn2", batch_norm()),
        named("relu", relu()),
        named("conv3", conv(4 * planes, 1)),
        named("bn3", batch_norm()),
    ]
}
