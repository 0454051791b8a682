//! The vision transformer (A. Dosovitskiy et al., "An Image is Worth 16x16 Words:
//! Transformers for Image Recognition at Scale", 2020), as torchvision has it. `vit_tiny`
//! is the size that H. Touvron et al., "Training data-efficient image transformers",
//! 2020, call DeiT-Ti; torchvision has the class for it, but no weights.

use super::parts::{
    dropout, flatten, head, layer_norm, linear, patches, residual, rule, sequential,
};
use super::{Network, Options};
use crate::recipe::{Init, Initialise, Layer};
use crate::{Error, Result};

const EPS: f64 = 1e-6;

/// How large a transformer is.
struct Size {
    blocks: usize,
    heads: i64,
    hidden: i64,
}

pub(super) fn vit_tiny(options: &Options, input: [usize; 3]) -> Result<Network> {
    vit(options, input, Size { blocks: 12, heads: 3, hidden: 192 })
}

pub(super) fn vit_b_16(options: &Options, input: [usize; 3]) -> Result<Network> {
    vit(options, input, Size { blocks: 12, heads: 12, hidden: 768 })
}

fn vit(options: &Options, input: [usize; 3], size: Size) -> Result<Network> {
    let patch = options.patch_size.unwrap_or(16);
    let p = options.dropout.unwrap_or(0.0);
    let [channels, height, width] = input.map(|n| n as i64);
    if height % patch != 0 || width % patch != 0 {
        return Err(Error::usage(format_args!(
            "[model] images of {height} x {width} do not divide into patches of {patch} \
             x {patch}: give another patch_size"
        )));
    }
    let blocks: Vec<Layer> = (0..size.blocks)
        .map(|i| block(&size, p).named(format!("encoder_layer_{i}")))
        .collect();
    let encoder = [
        Layer::new("PositionEmbedding").named("pos_embedding"),
        dropout(p).named("dropout"),
        sequential(blocks).named("layers"),
        layer_norm(EPS).named("ln"),
    ];
    let layers = vec![
        patches(size.hidden, patch).named("conv_proj"),
        flatten().with("start_dim", 2).named("flatten"),
        Layer::new("Permute").with("dims", vec![0, 2, 1]).named("permute"),
        Layer::new("ClassToken").named("class_token"),
        sequential(encoder).named("encoder"),
        Layer::new("Select").with("dim", 1).with("index", 0).named("select"),
        sequential([head().named("head")]).named("heads"),
    ];
    let fan_in = channels * patch * patch;
    let patches = Init::TruncNormal {
        mean: 0.0,
        std: (1.0 / fan_in as f64).sqrt(),
        a: -2.0,
        b: 2.0,
    };
    let initialise =
        vec![rule_named("conv_proj", patches), rule_named("heads.head", Init::Zeros {})];
    Ok(Network { layers, initialise })
}

fn block(size: &Size, p: f64) -> Layer {
    let mlp = [
        linear(4 * size.hidden),
        Layer::new("GELU"),
        dropout(p),
        linear(size.hidden),
        dropout(p),
    ];
    let weight = Init::XavierUniform { gain: 1.0 };
    let bias = Init::Normal { mean: 0.0, std: 1e-6 };
    let mlp =
        sequential(mlp).named("mlp").initialised(vec![rule("Linear", weight, bias)]);
    let attention = Layer::new("MultiheadAttention").with("num_heads", size.heads);
    let attention = [
        layer_norm(EPS).named("ln_1"),
        attention.named("self_attention"),
        dropout(p).named("dropout"),
    ];
    sequential([
        residual(attention, []).named(""),
        residual([layer_norm(EPS).named("ln_2"), mlp], []).named(""),
    ])
}

fn rule_named(name: &str, weight: Init) -> Initialise {
    Initialise {
        module: None,
        name: Some(name.to_owned()),
        weight: Some(weight),
        bias: Some(Init::Zeros {}),
    }
}
