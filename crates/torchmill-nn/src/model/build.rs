//! Building a network layer by layer, inferring sizes from what each layer gets.
//!
//! Shapes come from libtorch itself: a batch of zeros is sent through each layer as it is
//! made, so what a layer accepts and gives is never computed twice in two ways.

use std::collections::HashSet;

use tch::{Device, Kind, Tensor};
use torchmill::recipe::{Dims, Init, Initialise, Layer, Module, Padding, PaddingMode};
use torchmill::{Error, Result};

use super::attention::MultiheadAttention;
use super::block::{BatchNorm, Block, Op, Running};
use super::summary::{Row, multiply_adds};
use super::{Mode, Named};
use crate::generator::Generator;
use crate::patterns::Patterns;
use crate::tensor::channels_last;
use crate::{initialise, torch_error};

/// A network under construction.
pub(super) struct Builder<'a> {
    /// Without one, weights are zeros that wait to be loaded.
    generator: Option<&'a mut Generator>,
    /// What the last layer gives where it does not say; `None` where the layers are not a
    /// classifier.
    classes: Option<i64>,
    /// Names of what training does not change.
    frozen: &'a Patterns,
    /// What the next layer gets: a batch of two images of zeros.
    x: Tensor,
    parts: Parts,
    /// Layers with a weight, as `initialise` finds them.
    weighted: Vec<Weighted>,
    /// How many layers and blocks there are so far.
    layers: usize,
}

/// What a finished network consists of besides its blocks.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) parameters: Vec<Named>,
    pub(super) buffers: Vec<Named>,
    pub(super) rows: Vec<Row>,
}

struct Weighted {
    path: String,
    class: &'static str,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        generator: Option<&'a mut Generator>,
        classes: Option<i64>,
        frozen: &'a Patterns,
        input: [usize; 3],
    ) -> Self {
        let [c, h, w] = input.map(|n| n as i64);
        let x = Tensor::zeros([2, c, h, w], (Kind::Float, Device::Cpu));
        Self {
            generator,
            classes,
            frozen,
            x,
            parts: Parts::default(),
            weighted: Vec::new(),
            layers: 0,
        }
    }

    /// The shape of what the layers so far give for one image.
    pub(super) fn shape(&self) -> Vec<i64> {
        self.x.size()[1..].to_vec()
    }

    pub(super) fn finish(self) -> Result<Parts> {
        let mut seen = HashSet::new();
        let named = self.parts.parameters.iter().chain(&self.parts.buffers);
        if let Some(twice) =
            named.map(|n| &n.name).find(|name| !seen.insert(name.as_str()))
        {
            return Err(Error::usage(format_args!(
                "two layers have a tensor called {twice}: give one another name"
            )));
        }
        Ok(self.parts)
    }

    /// The whole network, called `prefix`, with its rules of initialisation.
    pub(super) fn network(
        &mut self,
        layers: &[Layer],
        rules: &[Initialise],
        prefix: &str,
    ) -> Result<Vec<Block>> {
        let blocks = self.sequence(layers, prefix, "", true)?;
        self.initialise(rules, prefix, 0)?;
        Ok(blocks)
    }

    /// Layers in a row, called `PREFIX.0`, `PREFIX.1`, ..., or within a block of its own
    /// kind `PREFIX.KIND0`, ... `last`: whether the row ends the network.
    fn sequence(
        &mut self,
        layers: &[Layer],
        prefix: &str,
        kind: &str,
        last: bool,
    ) -> Result<Vec<Block>> {
        let mut blocks = Vec::with_capacity(layers.len());
        for (i, layer) in layers.iter().enumerate() {
            let path = match layer.name.as_deref() {
                None => join(prefix, &format!("{kind}{i}")),
                Some("") => prefix.to_owned(),
                Some(name)
                    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') =>
                {
                    join(prefix, name)
                }
                Some(name) => {
                    return Err(Error::usage(format_args!(
                        "layer {prefix} has a layer called `{name}`: a name is letters, digits and _"
                    )));
                }
            };
            // What comes after it may leave the shape as it is.
            let ends =
                last && layers[i + 1..].iter().all(|after| after.module.keeps_shape());
            blocks.push(self.layer(layer, &path, ends)?);
        }
        Ok(blocks)
    }

    fn layer(&mut self, layer: &Layer, path: &str, last: bool) -> Result<Block> {
        self.count_layer()?;
        let class = layer.module.name();
        let name = format!("layer {path} ({class})");
        let got = self.shape();
        let before = self.x.shallow_clone();
        let at =
            |e: Error| Error::usage(e).within(format_args!("{name}, which gets {got:?}"));
        let (row, counted) = (self.parts.rows.len(), self.parameter_count());
        self.parts.rows.push(Row::new(path, class));
        let from = self.weighted.len();
        let op = self.op(&layer.module, path, last).map_err(|e| match e {
            // The inner layer has already said where.
            Error::Usage(m) if m.starts_with("layer ") => Error::Usage(m),
            e => at(e),
        })?;
        // A block's layers have moved `x` on already.
        if !op.is_block() {
            let mode = Mode { training: false, kind: Kind::Float };
            self.x = op.forward(&before, false, mode).map_err(|e| at(torch_error(&e)))?;
        }
        if self.x.numel() == 0 {
            return Err(at(Error::failed(format_args!(
                "would give the empty {:?}",
                self.shape()
            ))));
        }
        self.initialise(&layer.initialise, path, from)?;
        let (output, parameters) = (self.shape(), self.parameter_count() - counted);
        let inner = self.parts.rows.len() - row - 1;
        let row = &mut self.parts.rows[row];
        (row.multiply_adds, row.parameters, row.inner) =
            (multiply_adds(&op, &got, &output), parameters, inner);
        row.output = output;
        Ok(Block { name, op })
    }

    fn parameter_count(&self) -> usize {
        self.parts.parameters.iter().map(|p| p.tensor.numel()).sum()
    }

    /// Draws the weights anew of the layers since `from` that a rule is for, in order.
    fn initialise(
        &mut self,
        rules: &[Initialise],
        prefix: &str,
        from: usize,
    ) -> Result<()> {
        let Some(generator) = self.generator.as_deref_mut().filter(|_| !rules.is_empty())
        else {
            return Ok(());
        };
        for layer in &self.weighted[from..] {
            let within = layer
                .path
                .strip_prefix(prefix)
                .unwrap_or(&layer.path)
                .trim_start_matches('.');
            for rule in rules {
                let named = rule.name.as_ref().map(|n| Patterns::new([n])).transpose()?;
                let fits = rule.module.as_ref().is_none_or(|m| m == layer.class)
                    && named.is_none_or(|pattern| pattern.matches(within));
                if !fits {
                    continue;
                }
                let pairs = [
                    (Some(&layer.weight), &rule.weight),
                    (layer.bias.as_ref(), &rule.bias),
                ];
                for (tensor, init) in pairs {
                    if let (Some(tensor), Some(init)) = (tensor, init) {
                        let values = initialise::draw(init, generator, &tensor.size())
                            .map_err(|e| {
                                e.within(format_args!(
                                    "layer {} ({})",
                                    layer.path, layer.class
                                ))
                            })?;
                        tensor
                            .shallow_clone()
                            .copy_(&Tensor::from_slice(&values).reshape(tensor.size()));
                    }
                }
                break;
            }
        }
        Ok(())
    }

    fn op(&mut self, module: &Module, path: &str, last: bool) -> Result<Op> {
        Ok(match module {
            Module::Conv2d { .. } => self.conv2d(module, path)?,
            Module::Linear { in_features, out_features, bias } => {
                let features = agreed("in_features", *in_features, self.dimension(-1)?)?;
                let out = match (out_features, self.classes) {
                    (Some(n), _) => positive("out_features", *n)?,
                    (None, Some(classes)) if last => classes,
                    _ => {
                        return Err(Error::usage(
                            "out_features is missing: only the last layer's can be inferred",
                        ));
                    }
                };
                let (weight, bias) =
                    self.weight_and_bias(path, "Linear", &[out, features], *bias);
                Op::Linear { weight, bias }
            }
            Module::MaxPool2d { kernel_size, stride, padding, dilation, ceil_mode } => {
                Op::MaxPool2d {
                    kernel_size: kernel_size.get(),
                    stride: stride.unwrap_or(*kernel_size).get(),
                    padding: padding.get(),
                    dilation: dilation.get(),
                    ceil_mode: *ceil_mode,
                }
            }
            Module::AvgPool2d {
                kernel_size,
                stride,
                padding,
                ceil_mode,
                count_include_pad,
                divisor_override,
            } => Op::AvgPool2d {
                kernel_size: kernel_size.get(),
                stride: stride.unwrap_or(*kernel_size).get(),
                padding: padding.get(),
                ceil_mode: *ceil_mode,
                count_include_pad: *count_include_pad,
                divisor: *divisor_override,
            },
            Module::AdaptiveAvgPool2d { output_size } => {
                Op::AdaptiveAvgPool2d { output_size: output_size.get() }
            }
            Module::BatchNorm2d {
                num_features,
                eps,
                momentum,
                affine,
                track_running_stats,
            } => {
                let n = agreed("num_features", *num_features, self.channels()?)?;
                let affine = affine.then(|| self.scale_and_shift(path, &[n]));
                let running = track_running_stats.then(|| Running {
                    mean: self.buffer(
                        path,
                        "running_mean",
                        Tensor::zeros([n], (Kind::Float, Device::Cpu)),
                    ),
                    var: self.buffer(
                        path,
                        "running_var",
                        Tensor::ones([n], (Kind::Float, Device::Cpu)),
                    ),
                    batches: self.buffer(
                        path,
                        "num_batches_tracked",
                        Tensor::from(0_i64),
                    ),
                });
                let frozen = self.frozen.matches(&join(path, "running_mean"));
                Op::BatchNorm2d(BatchNorm {
                    affine,
                    running,
                    momentum: *momentum,
                    eps: *eps,
                    frozen,
                })
            }
            Module::GroupNorm { num_groups, num_channels, eps, affine } => {
                let n = agreed("num_channels", *num_channels, self.channels()?)?;
                if *num_groups < 1 || n % num_groups != 0 {
                    return Err(Error::usage(format_args!(
                        "num_groups = {num_groups} does not divide {n} channels"
                    )));
                }
                let affine = affine.then(|| self.scale_and_shift(path, &[n]));
                Op::GroupNorm { groups: *num_groups, affine, eps: *eps }
            }
            Module::LayerNorm { normalized_shape, eps, elementwise_affine, bias } => {
                let shape = match normalized_shape {
                    None => vec![self.dimension(-1)?],
                    Some(Dims::One(n)) => vec![*n],
                    Some(Dims::Many(dims)) => dims.clone(),
                };
                if !self.x.size()[1..].ends_with(&shape) {
                    return Err(Error::usage(format_args!(
                        "normalized_shape = {shape:?} is not how its shape ends"
                    )));
                }
                let weight = elementwise_affine
                    .then(|| self.constant(path, "weight", 1.0, &shape));
                let bias = (*elementwise_affine && *bias)
                    .then(|| self.constant(path, "bias", 0.0, &shape));
                Op::LayerNorm { shape, weight, bias, eps: *eps }
            }
            Module::Dropout { p } if (0.0..=1.0).contains(p) => Op::Dropout(*p),
            Module::Dropout { p } => {
                return Err(Error::usage(format_args!("p = {p} is not from 0 to 1")));
            }
            Module::Flatten { start_dim, end_dim } => Op::Flatten {
                start: self.not_the_batchs("start_dim", *start_dim)?,
                end: *end_dim,
            },
            Module::ReLU {} => Op::Relu,
            Module::ReLU6 {} => Op::Relu6,
            Module::LeakyReLU { negative_slope } => Op::LeakyRelu(*negative_slope),
            Module::GELU { approximate } => Op::Gelu(approximate.name()),
            Module::SiLU {} => Op::Silu,
            Module::Hardswish {} => Op::Hardswish,
            Module::Hardsigmoid {} => Op::Hardsigmoid,
            Module::Tanh {} => Op::Tanh,
            Module::Sigmoid {} => Op::Sigmoid,
            Module::Softmax { dim } => Op::Softmax(self.not_the_batchs("dim", *dim)?),
            Module::LogSoftmax { dim } => {
                Op::LogSoftmax(self.not_the_batchs("dim", *dim)?)
            }
            Module::Identity {} => Op::Identity,
            Module::Sequential { layers } => {
                Op::Sequential(self.sequence(layers, path, "", last)?)
            }
            Module::Residual { layers, shortcut } => {
                self.residual(layers, shortcut, path)?
            }
            Module::Repeat { times, layers } => {
                let times = (0..*times).map(|i| {
                    self.count_layer()?;
                    let path = format!("{path}.{i}");
                    let blocks = self.sequence(layers, &path, "", false)?;
                    Ok(Block {
                        name: format!("layer {path} (Sequential)"),
                        op: Op::Sequential(blocks),
                    })
                });
                Op::Sequential(times.collect::<Result<_>>()?)
            }
            Module::Gate { layers } => {
                let before = self.x.shallow_clone();
                let layers = self.sequence(layers, path, "", false)?;
                self.x = before.f_mul(&self.x).map_err(|e| torch_error(&e))?;
                if self.x.size() != before.size() {
                    return Err(Error::usage("its layers give more than it gets"));
                }
                Op::Gate(layers)
            }
            Module::StochasticDepth { p } if (0.0..1.0).contains(p) => {
                Op::StochasticDepth(*p)
            }
            Module::StochasticDepth { p } => {
                return Err(Error::usage(format_args!(
                    "p = {p} is not from 0 to below 1"
                )));
            }
            Module::Permute { dims } if dims.first() == Some(&0) => {
                Op::Permute(dims.clone())
            }
            Module::Permute { .. } => {
                return Err(Error::usage("dims must begin with 0, the batch's"));
            }
            Module::Select { dim, index } => {
                Op::Select { dim: self.not_the_batchs("dim", *dim)?, index: *index }
            }
            Module::LayerNorm2d { num_channels, eps } => {
                let n = agreed("num_channels", *num_channels, self.channels()?)?;
                let [weight, bias] = self.scale_and_shift(path, &[n]);
                Op::LayerNorm2d { weight, bias, eps: *eps }
            }
            Module::LayerScale { init } => {
                let shape = [self.channels()?, 1, 1];
                Op::LayerScale(self.constant(path, "", *init, &shape))
            }
            Module::ClassToken {} => {
                let shape = [1, 1, self.embedding()?[1]];
                Op::ClassToken(self.constant(path, "", 0.0, &shape))
            }
            Module::PositionEmbedding {} => {
                let [n, e] = self.embedding()?;
                let embedding =
                    self.drawn(&Init::Normal { mean: 0.0, std: 0.02 }, &[1, n, e])?;
                Op::PositionEmbedding(self.parameter(path, "", embedding))
            }
            Module::MultiheadAttention { embed_dim, num_heads, dropout } => {
                let e = agreed("embed_dim", *embed_dim, self.embedding()?[1])?;
                if *num_heads < 1 || e % num_heads != 0 {
                    return Err(Error::usage(format_args!(
                        "num_heads = {num_heads} does not divide {e}"
                    )));
                }
                // PyTorch draws them in this order.
                let out_path = join(path, "out_proj");
                let (out, out_bias) =
                    self.weight_and_bias(&out_path, "Linear", &[e, e], true);
                let weight =
                    self.drawn(&Init::XavierUniform { gain: 1.0 }, &[3 * e, e])?;
                let weight = self.parameter(path, "in_proj_weight", weight);
                let bias = self.constant(path, "in_proj_bias", 0.0, &[3 * e]);
                let out_bias = out_bias
                    .unwrap_or_else(|| Tensor::zeros([e], (Kind::Float, Device::Cpu)));
                let _ = out_bias.shallow_clone().zero_();
                let heads = *num_heads;
                Op::MultiheadAttention(MultiheadAttention {
                    heads,
                    weight,
                    bias,
                    out,
                    out_bias,
                    dropout: *dropout,
                })
            }
        })
    }

    fn conv2d(&mut self, module: &Module, path: &str) -> Result<Op> {
        let Module::Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
        } = module
        else {
            return Err(Error::failed("not a Conv2d"));
        };
        let channels = agreed("in_channels", *in_channels, self.channels()?)?;
        let out = positive("out_channels", *out_channels)?;
        if *groups < 1 || channels % groups != 0 || out % groups != 0 {
            return Err(Error::usage(format_args!(
                "groups = {groups} does not divide {channels} input and {out} output channels"
            )));
        }
        let [kernel, stride, dilation] =
            [kernel_size.get(), stride.get(), dilation.get()];
        for n in kernel.iter().chain(&stride).chain(&dilation) {
            positive("kernel_size, stride or dilation", *n)?;
        }
        let (padding, around) =
            explicit_padding(padding, *padding_mode, kernel, stride, dilation)?;
        let shape = [out, channels / groups, kernel[0], kernel[1]];
        let (weight, bias) = self.weight_and_bias(path, "Conv2d", &shape, *bias);
        Ok(Op::Conv2d {
            weight,
            bias,
            stride,
            padding,
            dilation,
            groups: *groups,
            around,
        })
    }

    fn residual(
        &mut self,
        layers: &[Layer],
        shortcut: &[Layer],
        path: &str,
    ) -> Result<Op> {
        let before = self.x.shallow_clone();
        let layers = self.sequence(layers, path, "layers.", false)?;
        let after = std::mem::replace(&mut self.x, before);
        let shortcut = self.sequence(shortcut, path, "shortcut.", false)?;
        let beside = self.shape();
        self.x = after;
        if beside != self.shape() {
            let gives = self.shape();
            return Err(Error::usage(format_args!(
                "its layers give {gives:?}, its shortcut {beside:?}"
            )));
        }
        Ok(Op::Residual { layers, shortcut })
    }

    /// `[N, E]`: tokens and their size.
    fn embedding(&self) -> Result<[i64; 2]> {
        self.shape().try_into().map_err(|_| Error::usage("it needs [N, E]"))
    }

    /// A dimension that a layer works on: not the first, which is the images'.
    fn not_the_batchs(&self, argument: &str, dim: i64) -> Result<i64> {
        if dim == 0 || dim == -(self.x.dim() as i64) {
            return Err(Error::usage(format_args!(
                "{argument} = {dim} is the batch's dimension, in which images must not mix: the first of an image is 1"
            )));
        }
        Ok(dim)
    }

    /// No network has so many layers; a mistyped `times` would go on until the memory is
    /// full.
    fn count_layer(&mut self) -> Result<()> {
        const MOST: usize = 10_000;
        self.layers += 1;
        if self.layers <= MOST {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "the network has more than {MOST} layers, which is the most: see Repeat's times"
        )))
    }

    fn channels(&self) -> Result<i64> {
        if self.x.dim() == 4 {
            Ok(self.x.size()[1])
        } else {
            Err(Error::usage("it needs [C, H, W]"))
        }
    }

    fn dimension(&self, i: i64) -> Result<i64> {
        let size = self.shape();
        let at = if i < 0 { size.len() as i64 + i } else { i };
        size.get(at as usize)
            .copied()
            .ok_or_else(|| Error::usage("it needs at least one dimension"))
    }

    fn weight_and_bias(
        &mut self,
        path: &str,
        class: &'static str,
        shape: &[i64],
        bias: bool,
    ) -> (Tensor, Option<Tensor>) {
        let (weight, bias) = match self.generator.as_deref_mut() {
            Some(generator) => {
                let (weight, bias) = initialise::weight_and_bias(generator, shape, bias);
                (
                    Tensor::from_slice(&weight).reshape(shape),
                    bias.map(|b| Tensor::from_slice(&b)),
                )
            }
            None => {
                let zeros =
                    |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
                (zeros(shape), bias.then(|| zeros(&shape[..1])))
            }
        };
        let weight = if shape.len() == 4 { channels_last(&weight) } else { weight };
        let weight = self.parameter(path, "weight", weight);
        let bias = bias.map(|b| self.parameter(path, "bias", b));
        let shared = (weight.shallow_clone(), bias.as_ref().map(Tensor::shallow_clone));
        self.weighted.push(Weighted {
            path: path.to_owned(),
            class,
            weight: shared.0,
            bias: shared.1,
        });
        (weight, bias)
    }

    fn drawn(&mut self, init: &Init, shape: &[i64]) -> Result<Tensor> {
        match self.generator.as_deref_mut() {
            Some(generator) => {
                Ok(Tensor::from_slice(&initialise::draw(init, generator, shape)?)
                    .reshape(shape))
            }
            None => Ok(Tensor::zeros(shape, (Kind::Float, Device::Cpu))),
        }
    }

    fn scale_and_shift(&mut self, path: &str, shape: &[i64]) -> [Tensor; 2] {
        [
            self.constant(path, "weight", 1.0, shape),
            self.constant(path, "bias", 0.0, shape),
        ]
    }

    fn constant(&mut self, path: &str, name: &str, value: f64, shape: &[i64]) -> Tensor {
        self.parameter(path, name, Tensor::full(shape, value, (Kind::Float, Device::Cpu)))
    }

    fn parameter(&mut self, path: &str, name: &str, tensor: Tensor) -> Tensor {
        let shared = tensor.shallow_clone();
        self.parts.parameters.push(Named { name: join(path, name), tensor });
        shared
    }

    fn buffer(&mut self, path: &str, name: &str, tensor: Tensor) -> Tensor {
        let shared = tensor.shallow_clone();
        self.parts.buffers.push(Named { name: join(path, name), tensor });
        shared
    }
}

/// What Conv2d's padding comes to: what the convolution does itself, and what is put
/// around its input before.
#[allow(clippy::type_complexity, reason = "two halves of one answer")]
fn explicit_padding(
    padding: &Padding,
    mode: PaddingMode,
    kernel: [i64; 2],
    stride: [i64; 2],
    dilation: [i64; 2],
) -> Result<([i64; 2], Option<([i64; 4], PaddingMode)>)> {
    use torchmill::recipe::NamedPadding::{Same, Valid};
    // Before and after, for height and width. `same` puts an odd one after, as PyTorch
    // does.
    let sides = match padding {
        Padding::Named(Valid) => [[0, 0], [0, 0]],
        Padding::Named(Same) if stride != [1, 1] => {
            return Err(Error::usage("padding = \"same\" needs stride 1"));
        }
        Padding::Named(Same) => [0, 1].map(|i| {
            let total = dilation[i] * (kernel[i] - 1);
            [total / 2, total - total / 2]
        }),
        Padding::Pixels(pair) => pair.get().map(|n| [n, n]),
    };
    if !sides.as_flattened().iter().all(|n| (0..=1 << 24).contains(n)) {
        return Err(Error::usage("padding must be 0 to 16777216"));
    }
    let even = sides.iter().all(|s| s[0] == s[1]);
    if mode == PaddingMode::Zeros && even {
        return Ok(([sides[0][0], sides[1][0]], None));
    }
    if sides.as_flattened().iter().all(|&n| n == 0) {
        return Ok(([0, 0], None));
    }
    let [[top, bottom], [left, right]] = sides;
    Ok(([0, 0], Some(([left, right, top, bottom], mode))))
}

/// `prefix.name`, or the one of them that is not empty.
fn join(prefix: &str, name: &str) -> String {
    let dot = if prefix.is_empty() || name.is_empty() { "" } else { "." };
    format!("{prefix}{dot}{name}")
}

/// A size that the recipe may give and the layer before decides.
fn agreed(argument: &str, given: Option<i64>, actual: i64) -> Result<i64> {
    match given {
        Some(n) if n != actual => {
            Err(Error::usage(format_args!("{argument} is {n}, but it gets {actual}")))
        }
        _ => Ok(actual),
    }
}

fn positive(argument: &str, n: i64) -> Result<i64> {
    // The upper bound keeps a mistyped size from asking for all of the memory.
    if (1..=1 << 24).contains(&n) {
        Ok(n)
    } else {
        Err(Error::usage(format_args!("{argument} = {n} is out of range")))
    }
}
