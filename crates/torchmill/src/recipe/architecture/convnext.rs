//! ConvNeXt (Z. Liu et al., "A ConvNet for the 2020s", 2022), as torchvision has it.

use super::parts::{
    average_pool_to, conv, flatten, head, layer_norm, linear, named, patches, residual,
    sequential, start,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::{Approximate, Init, Layer, Module};

const EPS: f64 = 1e-6;

pub(super) fn convnext_tiny(options: &Options, _input: [usize; 3]) -> Result<Network> {
    let stages = [(96, 3), (192, 3), (384, 9), (768, 3)];
    let total: i64 = stages.iter().map(|s| s.1).sum();
    let depth = options.stochastic_depth_prob.unwrap_or(0.1);
    let mut features = vec![sequential([patches(96, 4).into(), channel_norm()])];
    let mut index = 0;
    for (i, (channels, blocks)) in stages.into_iter().enumerate() {
        if i > 0 {
            features.push(sequential([channel_norm(), patches(channels, 2).into()]));
        }
        let mut stage = Vec::new();
        for _ in 0..blocks {
            // The deeper, the likelier to be left out.
            stage.push(block(channels, depth * index as f64 / (total - 1) as f64));
            index += 1;
        }
        features.push(sequential(stage));
    }
    let layers = vec![
        named("features", sequential(features)),
        named("avgpool", average_pool_to(1)),
        named("classifier", sequential([channel_norm(), flatten(), head()])),
    ];
    let weight = Init::TruncNormal { mean: 0.0, std: 0.02, a: -2.0, b: 2.0 };
    let initialise =
        ["Conv2d", "Linear"].map(|module| start(module, weight, Init::Zeros {})).into();
    Ok(Network { layers, initialise })
}

fn block(channels: i64, stochastic_depth: f64) -> Layer {
    let layers = [
        conv(channels, 7).depthwise().bias().into(),
        Module::Permute { dims: vec![0, 2, 3, 1] }.into(),
        layer_norm(EPS),
        linear(4 * channels),
        Module::GELU { approximate: Approximate::None }.into(),
        linear(channels),
        Module::Permute { dims: vec![0, 3, 1, 2] }.into(),
    ];
    let scale = named("layer_scale", Module::LayerScale { init: 1e-6 });
    residual(
        [
            named("block", sequential(layers)),
            scale,
            Module::StochasticDepth { p: stochastic_depth }.into(),
        ],
        [],
    )
}

fn channel_norm() -> Layer {
    Module::LayerNorm2d { num_channels: None, eps: EPS }.into()
}
