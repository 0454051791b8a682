//! ConvNeXt (Z. Liu et al., "A ConvNet for the 2020s", 2022), as torchvision has it.

use super::parts::{
    average_pool_to, depthwise_conv, flatten, head, layer_norm, linear, patches, permute,
    residual, rule, sequential, stochastic_depth,
};
use super::{Network, Options};
use crate::Result;
use crate::recipe::{Init, Layer};

const EPS: f64 = 1e-6;

pub(super) fn convnext_tiny(options: &Options, _input: [usize; 3]) -> Result<Network> {
    let stages = [(96, 3), (192, 3), (384, 9), (768, 3)];
    let total: i64 = stages.iter().map(|s| s.1).sum();
    let depth = options.stochastic_depth_prob.unwrap_or(0.1);
    let mut features = vec![sequential([patches(96, 4), channel_norm()])];
    let mut index = 0;
    for (i, (channels, blocks)) in stages.into_iter().enumerate() {
        if i > 0 {
            features.push(sequential([channel_norm(), patches(channels, 2)]));
        }
        let mut stage = Vec::new();
        for _ in 0..blocks {
            // The deeper a block is, the likelier it is dropped.
            stage.push(block(channels, depth * index as f64 / (total - 1) as f64));
            index += 1;
        }
        features.push(sequential(stage));
    }
    let layers = vec![
        sequential(features).named("features"),
        average_pool_to(1).named("avgpool"),
        sequential([channel_norm(), flatten(), head()]).named("classifier"),
    ];
    let weight = Init::TruncNormal { mean: 0.0, std: 0.02, a: -2.0, b: 2.0 };
    let initialise =
        ["Conv2d", "Linear"].map(|class| rule(class, weight, Init::Zeros {})).into();
    Ok(Network { layers, initialise })
}

fn block(channels: i64, p: f64) -> Layer {
    let layers = [
        depthwise_conv(channels, 7).with("bias", true),
        permute([0, 2, 3, 1]),
        layer_norm(EPS),
        linear(4 * channels),
        Layer::new("GELU"),
        linear(channels),
        permute([0, 3, 1, 2]),
    ];
    let scale = Layer::new("LayerScale").with("init", 1e-6);
    let layers = [
        sequential(layers).named("block"),
        scale.named("layer_scale"),
        stochastic_depth(p),
    ];
    residual(layers, [])
}

fn channel_norm() -> Layer {
    Layer::new("LayerNorm2d").with("eps", EPS)
}
