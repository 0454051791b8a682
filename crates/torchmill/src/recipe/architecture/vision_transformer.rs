//! The vision transformer (A. Dosovitskiy et al., "An Image is Worth 16x16 Words:
//! Transformers for Image Recognition at Scale", 2020), as torchvision has it. `vit_tiny`
//! is the size that H. Touvron et al., "Training data-efficient image transformers",
//! 2020, call DeiT-Ti; torchvision has the class for it, but no weights.

use super::parts::{
    dropout, head, layer_norm, linear, named, patches, residual, sequential, start,
};
use super::{Network, Options};
use crate::recipe::{Approximate, Init, Initialise, Layer, Module};
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
            "[model] images of {height} x {width} do not divide into patches of {patch} x {patch}: give another patch_size"
        )));
    }
    let blocks: Vec<Layer> = (0..size.blocks)
        .map(|i| named(format!("encoder_layer_{i}"), block(&size, p)))
        .collect();
    let encoder = [
        named("pos_embedding", Module::PositionEmbedding {}),
        named("dropout", dropout(p)),
        named("layers", sequential(blocks)),
        named("ln", layer_norm(EPS)),
    ];
    let layers = vec![
        named("conv_proj", patches(size.hidden, patch)),
        named("flatten", Module::Flatten { start_dim: 2, end_dim: -1 }),
        named("permute", Module::Permute { dims: vec![0, 2, 1] }),
        named("class_token", Module::ClassToken {}),
        named("encoder", sequential(encoder)),
        named("select", Module::Select { dim: 1, index: 0 }),
        named("heads", sequential([named("head", head())])),
    ];
    let fan_in = channels * patch * patch;
    let patches = Init::TruncNormal {
        mean: 0.0,
        std: (1.0 / fan_in as f64).sqrt(),
        a: -2.0,
        b: 2.0,
    };
    let initialise = vec![
        start_named("conv_proj", patches),
        start_named("heads.head", Init::Zeros {}),
    ];
    Ok(Network { layers, initialise })
}

fn block(size: &Size, p: f64) -> Layer {
    let attention = Module::MultiheadAttention {
        embed_dim: None,
        num_heads: size.heads,
        dropout: 0.0,
    };
    let mlp = [
        linear(4 * size.hidden),
        Module::GELU { approximate: Approximate::None }.into(),
        dropout(p),
        linear(size.hidden),
        dropout(p),
    ];
    let rule = start(
        "Linear",
        Init::XavierUniform { gain: 1.0 },
        Init::Normal { mean: 0.0, std: 1e-6 },
    );
    let mlp = Layer { initialise: vec![rule], ..named("mlp", sequential(mlp)) };
    let attention = [
        named("ln_1", layer_norm(EPS)),
        named("self_attention", attention),
        named("dropout", dropout(p)),
    ];
    sequential([
        named("", residual(attention, [])),
        named("", residual([named("ln_2", layer_norm(EPS)), mlp], [])),
    ])
}

fn start_named(name: &str, weight: Init) -> Initialise {
    Initialise {
        module: None,
        name: Some(name.to_owned()),
        weight: Some(weight),
        bias: Some(Init::Zeros {}),
    }
}
