//! Building a network layer by layer, inferring sizes from what each layer gets.
//!
//! Shapes come from libtorch itself: a batch of zeros is sent through each layer as it is made, so what a
//! layer accepts and gives is never computed twice in two ways.

use tch::{Device, Kind, Tensor};
use torchmill::recipe::{Dims, Layer, Padding, PaddingMode};
use torchmill::{Error, Result};

use super::block::{Block, Op, Running};
use super::{Mode, Named};
use crate::generator::Generator;
use crate::{initialise, torch_error};

/// A network under construction.
pub(super) struct Builder<'a> {
    generator: &'a mut Generator,
    /// What the last layer gives where it does not say; `None` where the layers are not a classifier.
    classes: Option<i64>,
    /// What the next layer gets: a batch of two images of zeros.
    x: Tensor,
    parameters: Vec<Named>,
    buffers: Vec<Named>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(generator: &'a mut Generator, classes: Option<i64>, input: [usize; 3]) -> Self {
        let [c, h, w] = input.map(|n| n as i64);
        let x = Tensor::zeros([2, c, h, w], (Kind::Float, Device::Cpu));
        Self { generator, classes, x, parameters: Vec::new(), buffers: Vec::new() }
    }

    /// The shape of what the layers so far give for one image.
    pub(super) fn shape(&self) -> Vec<i64> {
        self.x.size()[1..].to_vec()
    }

    pub(super) fn finish(self) -> (Vec<Named>, Vec<Named>) {
        (self.parameters, self.buffers)
    }

    /// Layers in a row, called `PREFIX.0`, `PREFIX.1`, ... `last`: whether the row ends the network.
    pub(super) fn sequence(&mut self, layers: &[Layer], prefix: &str, last: bool) -> Result<Vec<Block>> {
        let dot = if prefix.is_empty() { "" } else { "." };
        let mut blocks = Vec::with_capacity(layers.len());
        for (i, layer) in layers.iter().enumerate() {
            let path = format!("{prefix}{dot}{i}");
            blocks.push(self.layer(layer, &path, last && i + 1 == layers.len())?);
        }
        Ok(blocks)
    }

    fn layer(&mut self, layer: &Layer, path: &str, last: bool) -> Result<Block> {
        let name = format!("layer {path} ({})", layer.name());
        let got = self.shape();
        let before = self.x.shallow_clone();
        let at = |e: Error| Error::usage(e).within(format_args!("{name}, which gets {got:?}"));
        let op = self.op(layer, path, last).map_err(|e| match e {
            // The inner layer has already said where.
            Error::Usage(m) if m.starts_with("layer ") => Error::Usage(m),
            e => at(e),
        })?;
        let mode = Mode { training: false, kind: Kind::Float };
        let after = op.forward(&before, mode).map_err(|e| at(torch_error(&e)))?;
        if after.numel() == 0 {
            return Err(at(Error::failed(format_args!("would give the empty {:?}", &after.size()[1..]))));
        }
        self.x = after;
        Ok(Block { name, op })
    }

    fn op(&mut self, layer: &Layer, path: &str, last: bool) -> Result<Op> {
        Ok(match layer {
            Layer::Conv2d { .. } => self.conv2d(layer, path)?,
            Layer::Linear { in_features, out_features, bias } => {
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
                let (weight, bias) = self.weight_and_bias(path, &[out, features], *bias);
                Op::Linear { weight, bias }
            }
            Layer::MaxPool2d { kernel_size, stride, padding, dilation, ceil_mode } => Op::MaxPool2d {
                kernel_size: kernel_size.get(),
                stride: stride.unwrap_or(*kernel_size).get(),
                padding: padding.get(),
                dilation: dilation.get(),
                ceil_mode: *ceil_mode,
            },
            Layer::AvgPool2d { kernel_size, stride, padding, ceil_mode, count_include_pad } => {
                Op::AvgPool2d {
                    kernel_size: kernel_size.get(),
                    stride: stride.unwrap_or(*kernel_size).get(),
                    padding: padding.get(),
                    ceil_mode: *ceil_mode,
                    count_include_pad: *count_include_pad,
                }
            }
            Layer::AdaptiveAvgPool2d { output_size } => {
                Op::AdaptiveAvgPool2d { output_size: output_size.get() }
            }
            Layer::BatchNorm2d { num_features, eps, momentum, affine, track_running_stats } => {
                let n = agreed("num_features", *num_features, self.channels()?)?;
                let affine = affine.then(|| self.scale_and_shift(path, &[n]));
                let running = track_running_stats.then(|| Running {
                    mean: self.buffer(path, "running_mean", Tensor::zeros([n], (Kind::Float, Device::Cpu))),
                    var: self.buffer(path, "running_var", Tensor::ones([n], (Kind::Float, Device::Cpu))),
                    batches: self.buffer(path, "num_batches_tracked", Tensor::from(0_i64)),
                });
                Op::BatchNorm2d { affine, running, momentum: *momentum, eps: *eps }
            }
            Layer::GroupNorm { num_groups, num_channels, eps, affine } => {
                let n = agreed("num_channels", *num_channels, self.channels()?)?;
                if *num_groups < 1 || n % num_groups != 0 {
                    return Err(Error::usage(format_args!(
                        "num_groups = {num_groups} does not divide {n} channels"
                    )));
                }
                let affine = affine.then(|| self.scale_and_shift(path, &[n]));
                Op::GroupNorm { groups: *num_groups, affine, eps: *eps }
            }
            Layer::LayerNorm { normalized_shape, eps, elementwise_affine, bias } => {
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
                let weight = elementwise_affine.then(|| self.constant(path, "weight", 1.0, &shape));
                let bias = (*elementwise_affine && *bias).then(|| self.constant(path, "bias", 0.0, &shape));
                Op::LayerNorm { shape, weight, bias, eps: *eps }
            }
            Layer::Dropout { p } if (0.0..=1.0).contains(p) => Op::Dropout(*p),
            Layer::Dropout { p } => return Err(Error::usage(format_args!("p = {p} is not from 0 to 1"))),
            Layer::Flatten { start_dim, end_dim } => Op::Flatten { start: *start_dim, end: *end_dim },
            Layer::ReLU => Op::Relu,
            Layer::LeakyReLU { negative_slope } => Op::LeakyRelu(*negative_slope),
            Layer::GELU { approximate } => Op::Gelu(approximate.name()),
            Layer::SiLU => Op::Silu,
            Layer::Tanh => Op::Tanh,
            Layer::Sigmoid => Op::Sigmoid,
            Layer::Softmax { dim } => Op::Softmax(*dim),
            Layer::LogSoftmax { dim } => Op::LogSoftmax(*dim),
            Layer::Identity => Op::Identity,
            Layer::Sequential { layers } => Op::Sequential(self.sequence(layers, path, last)?),
            Layer::Residual { layers, shortcut } => self.residual(layers, shortcut, path)?,
            Layer::Repeat { times, layers } => {
                let times = (0..*times).map(|i| {
                    let path = format!("{path}.{i}");
                    let blocks = self.sequence(layers, &path, false)?;
                    Ok(Block { name: format!("layer {path} (Sequential)"), op: Op::Sequential(blocks) })
                });
                Op::Sequential(times.collect::<Result<_>>()?)
            }
        })
    }

    fn conv2d(&mut self, layer: &Layer, path: &str) -> Result<Op> {
        let Layer::Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
        } = layer
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
        let [kernel, stride, dilation] = [kernel_size.get(), stride.get(), dilation.get()];
        for n in kernel.iter().chain(&stride).chain(&dilation) {
            positive("kernel_size, stride or dilation", *n)?;
        }
        let (padding, around) = explicit_padding(padding, *padding_mode, kernel, stride, dilation)?;
        let shape = [out, channels / groups, kernel[0], kernel[1]];
        let (weight, bias) = self.weight_and_bias(path, &shape, *bias);
        Ok(Op::Conv2d { weight, bias, stride, padding, dilation, groups: *groups, around })
    }

    fn residual(&mut self, layers: &[Layer], shortcut: &[Layer], path: &str) -> Result<Op> {
        let before = self.x.shallow_clone();
        let layers = self.sequence(layers, &format!("{path}.layers"), false)?;
        let after = std::mem::replace(&mut self.x, before);
        let shortcut = self.sequence(shortcut, &format!("{path}.shortcut"), false)?;
        let beside = self.shape();
        self.x = after;
        if beside != self.shape() {
            let gives = self.shape();
            return Err(Error::usage(format_args!("its layers give {gives:?}, its shortcut {beside:?}")));
        }
        Ok(Op::Residual { layers, shortcut })
    }

    fn channels(&self) -> Result<i64> {
        if self.x.dim() == 4 { Ok(self.x.size()[1]) } else { Err(Error::usage("it needs [C, H, W]")) }
    }

    fn dimension(&self, i: i64) -> Result<i64> {
        let size = self.shape();
        let at = if i < 0 { size.len() as i64 + i } else { i };
        size.get(at as usize).copied().ok_or_else(|| Error::usage("it needs at least one dimension"))
    }

    fn weight_and_bias(&mut self, path: &str, shape: &[i64], bias: bool) -> (Tensor, Option<Tensor>) {
        let (weight, bias) = initialise::weight_and_bias(self.generator, shape, bias);
        let weight = Tensor::from_slice(&weight).reshape(shape);
        let weight = if shape.len() == 4 { channels_last(&weight) } else { weight };
        let weight = self.parameter(path, "weight", weight);
        (weight, bias.map(|b| self.parameter(path, "bias", Tensor::from_slice(&b))))
    }

    fn scale_and_shift(&mut self, path: &str, shape: &[i64]) -> [Tensor; 2] {
        [self.constant(path, "weight", 1.0, shape), self.constant(path, "bias", 0.0, shape)]
    }

    fn constant(&mut self, path: &str, name: &str, value: f64, shape: &[i64]) -> Tensor {
        self.parameter(path, name, Tensor::full(shape, value, (Kind::Float, Device::Cpu)))
    }

    fn parameter(&mut self, path: &str, name: &str, tensor: Tensor) -> Tensor {
        let shared = tensor.shallow_clone();
        self.parameters.push(Named { name: format!("{path}.{name}"), tensor });
        shared
    }

    fn buffer(&mut self, path: &str, name: &str, tensor: Tensor) -> Tensor {
        let shared = tensor.shallow_clone();
        self.buffers.push(Named { name: format!("{path}.{name}"), tensor });
        shared
    }
}

/// The same values, laid out as `torch.channels_last`: oneDNN's convolutions are 1.5 times faster so.
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// What Conv2d's padding comes to: what the convolution does itself, and what is put around its input before.
#[allow(clippy::type_complexity, reason = "two halves of one answer")]
fn explicit_padding(
    padding: &Padding,
    mode: PaddingMode,
    kernel: [i64; 2],
    stride: [i64; 2],
    dilation: [i64; 2],
) -> Result<([i64; 2], Option<([i64; 4], PaddingMode)>)> {
    use torchmill::recipe::NamedPadding::{Same, Valid};
    // Before and after, for height and width. `same` puts an odd one after, as PyTorch does.
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
    if sides.as_flattened().iter().any(|&n| n < 0) {
        return Err(Error::usage("padding must not be negative"));
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

/// A size that the recipe may give and the layer before decides.
fn agreed(argument: &str, given: Option<i64>, actual: i64) -> Result<i64> {
    match given {
        Some(n) if n != actual => Err(Error::usage(format_args!("{argument} is {n}, but it gets {actual}"))),
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
