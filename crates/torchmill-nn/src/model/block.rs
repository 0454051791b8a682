//! The forward pass of each layer.

use tch::{Kind, TchError, Tensor};
use torchmill::recipe::PaddingMode;

use super::Mode;
use super::attention::MultiheadAttention;
use crate::batch_norm::{Parameters, batch_norm};
use crate::conv2d::conv2d;
use crate::max_pool::max_pool2d;

/// A layer with its tensors, which it shares with the model's state dict.
pub(super) struct Block {
    /// Where it stands and what it is, for messages: `layer 3 (Conv2d)`.
    pub(super) name: String,
    pub(super) op: Op,
}

/// What a layer computes.
pub(super) enum Op {
    Conv2d {
        weight: Tensor,
        bias: Option<Tensor>,
        stride: [i64; 2],
        padding: [i64; 2],
        dilation: [i64; 2],
        groups: i64,
        /// Left, right, top, bottom, put around the input before the convolution: what
        /// `padding` cannot say.
        around: Option<([i64; 4], PaddingMode)>,
    },
    Linear {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    MaxPool2d {
        kernel_size: [i64; 2],
        stride: [i64; 2],
        padding: [i64; 2],
        dilation: [i64; 2],
        ceil_mode: bool,
    },
    AvgPool2d {
        kernel_size: [i64; 2],
        stride: [i64; 2],
        padding: [i64; 2],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor: Option<i64>,
    },
    AdaptiveAvgPool2d {
        output_size: [i64; 2],
    },
    BatchNorm2d(BatchNorm),
    GroupNorm {
        groups: i64,
        affine: Option<[Tensor; 2]>,
        eps: f64,
    },
    LayerNorm {
        shape: Vec<i64>,
        weight: Option<Tensor>,
        bias: Option<Tensor>,
        eps: f64,
    },
    Dropout(f64),
    Flatten {
        start: i64,
        end: i64,
    },
    Relu,
    Relu6,
    LeakyRelu(f64),
    Gelu(&'static str),
    Silu,
    Hardswish,
    Hardsigmoid,
    Tanh,
    Sigmoid,
    Softmax(i64),
    LogSoftmax(i64),
    Identity,
    Sequential(Vec<Block>),
    Residual {
        layers: Vec<Block>,
        shortcut: Vec<Block>,
    },
    Gate(Vec<Block>),
    StochasticDepth(f64),
    Permute(Vec<i64>),
    Select {
        dim: i64,
        index: i64,
    },
    LayerNorm2d {
        weight: Tensor,
        bias: Tensor,
        eps: f64,
    },
    LayerScale(Tensor),
    ClassToken(Tensor),
    PositionEmbedding(Tensor),
    MultiheadAttention(MultiheadAttention),
}

/// A batch norm layer.
pub(super) struct BatchNorm {
    /// Weight and bias.
    pub(super) affine: Option<[Tensor; 2]>,
    pub(super) running: Option<Running>,
    pub(super) momentum: f64,
    pub(super) eps: f64,
    /// As in eval(), whatever the mode.
    pub(super) frozen: bool,
}

/// Batch norm's running statistics.
pub(super) struct Running {
    pub(super) mean: Tensor,
    pub(super) var: Tensor,
    /// int64, as in PyTorch; counts the batches seen.
    pub(super) batches: Tensor,
}

impl Block {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What comes of `x`, which the block before this one, where there is one, has made
    /// for it alone.
    pub(super) fn forward(
        &self,
        x: Tensor,
        neighbours: Neighbours,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        let mut x = x;
        let before = neighbours.before.map(|b| &b.op);
        match (&self.op, before) {
            (Op::Relu, Some(before)) if before.takes_in_relu() => Ok(x),
            // As torchvision's networks do (`inplace=True`): it saves a pass over memory.
            (Op::Relu, Some(before)) if before.lets_go() => x.f_relu_(),
            (op, _) => {
                let relu = op.takes_in_relu()
                    && neighbours.after.is_some_and(|b| matches!(b.op, Op::Relu));
                op.forward(&x, relu, mode)
            }
        }
    }
}

/// The blocks beside one.
#[derive(Clone, Copy)]
pub(super) struct Neighbours<'a> {
    before: Option<&'a Block>,
    after: Option<&'a Block>,
}

/// Each block with its neighbours.
pub(super) fn in_order(
    blocks: &[Block],
) -> impl Iterator<Item = (&Block, Neighbours<'_>)> {
    let neighbours = |i: usize| Neighbours {
        before: i.checked_sub(1).and_then(|before| blocks.get(before)),
        after: blocks.get(i + 1),
    };
    blocks.iter().enumerate().map(move |(i, block)| (block, neighbours(i)))
}

/// PyTorch's check: of one value a channel there is no variance.
fn more_than_one_value(shape: &[i64]) -> Result<(), TchError> {
    let values: i64 =
        shape.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, n)| n).product();
    if values != 1 {
        return Ok(());
    }
    Err(TchError::Torch(format!(
        "expected more than 1 value per channel when training, got {shape:?}: give a larger --batch-size, or drop_last = true where only the last batch is so small, or larger images"
    )))
}

fn run(blocks: &[Block], x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
    in_order(blocks).try_fold(x.shallow_clone(), |x, (block, neighbours)| {
        block.forward(x, neighbours, mode)
    })
}

/// The layers before a batch norm that is the last, and that one.
fn ends_in_batch_norm(layers: &[Block]) -> Option<(&[Block], &BatchNorm)> {
    match layers.split_last() {
        Some((Block { op: Op::BatchNorm2d(norm), .. }, before)) => Some((before, norm)),
        _ => None,
    }
}

impl BatchNorm {
    /// Of `x`, plus `plus` where there is one, cut off below 0 where `relu` is set.
    fn forward(
        &self,
        x: &Tensor,
        plus: Option<&Tensor>,
        relu: bool,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        let Self { affine, running, momentum, eps, frozen } = self;
        let training = mode.training && !frozen;
        if let (true, Some(r)) = (training, running) {
            let _ = r
                .batches
                .shallow_clone()
                .f_add_(&Tensor::from(1_i64).to_device(r.batches.device()))?;
        }
        let batch_statistics = training || running.is_none();
        let statistics = running.as_ref().map(|r| [&r.mean, &r.var]);
        if batch_statistics {
            more_than_one_value(&x.size())?;
            let running = statistics.filter(|_| training);
            let parameters = Parameters {
                affine: affine.as_ref(),
                running,
                momentum: *momentum,
                eps: *eps,
            };
            if let Some(y) = batch_norm(x, &parameters, plus, relu)? {
                return Ok(y);
            }
        }
        let (weight, bias) =
            (affine.as_ref().map(|a| &a[0]), affine.as_ref().map(|a| &a[1]));
        let (mean, var) = (statistics.map(|s| s[0]), statistics.map(|s| s[1]));
        let mut y = x.f_batch_norm(
            weight,
            bias,
            mean,
            var,
            batch_statistics,
            *momentum,
            *eps,
            true,
        )?;
        if let Some(plus) = plus {
            y = y.f_add_(plus)?;
        }
        if relu { y.f_relu_() } else { Ok(y) }
    }
}

impl Op {
    /// Whether it consists of other layers.
    pub(super) fn is_block(&self) -> bool {
        matches!(self, Self::Sequential(_) | Self::Residual { .. } | Self::Gate(_))
    }

    /// Whether its output is a tensor of its own that its backward pass does not need.
    /// Asked of what does not take in the ReLU.
    fn lets_go(&self) -> bool {
        matches!(self, Self::Conv2d { .. } | Self::Linear { .. } | Self::Residual { .. })
    }

    /// Whether it computes a ReLU that comes after it, too.
    fn takes_in_relu(&self) -> bool {
        match self {
            Self::BatchNorm2d(_) => true,
            Self::Residual { layers, .. } => ends_in_batch_norm(layers).is_some(),
            _ => false,
        }
    }

    /// What comes of `x`; with the ReLU after it, where `relu` says so of an op that
    /// takes it in.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        relu: bool,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        // Weights are cast each time they are used: autograd carries the gradient back
        // through the cast to the float32 master. With float32 layers this is no copy.
        let cast = |t: &Tensor| t.to_kind(mode.kind);
        match self {
            Self::Conv2d { weight, bias, stride, padding, dilation, groups, around } => {
                let padded;
                let x = match around {
                    None => x,
                    Some((sides, how)) => {
                        let how = match how {
                            PaddingMode::Zeros => "constant",
                            PaddingMode::Reflect => "reflect",
                            PaddingMode::Replicate => "replicate",
                            PaddingMode::Circular => "circular",
                        };
                        padded = x.f_pad(sides, how, None)?;
                        &padded
                    }
                };
                conv2d(
                    x,
                    &cast(weight),
                    bias.as_ref().map(cast).as_ref(),
                    *stride,
                    *padding,
                    *dilation,
                    *groups,
                )
            }
            Self::Linear { weight, bias } => {
                x.f_linear(&cast(weight), bias.as_ref().map(cast))
            }
            Self::MaxPool2d { kernel_size, stride, padding, dilation, ceil_mode } => {
                let apart = kernel_size == stride
                    && *padding == [0, 0]
                    && *dilation == [1, 1]
                    && !ceil_mode;
                if apart && let Some(pooled) = max_pool2d(x, *kernel_size)? {
                    return Ok(pooled);
                }
                x.f_max_pool2d(kernel_size, stride, padding, dilation, *ceil_mode)
            }
            Self::AvgPool2d {
                kernel_size,
                stride,
                padding,
                ceil_mode,
                count_include_pad,
                divisor,
            } => x.f_avg_pool2d(
                kernel_size,
                stride,
                padding,
                *ceil_mode,
                *count_include_pad,
                *divisor,
            ),
            Self::AdaptiveAvgPool2d { output_size } => {
                x.f_adaptive_avg_pool2d(output_size)
            }
            Self::BatchNorm2d(norm) => norm.forward(x, None, relu, mode),
            Self::GroupNorm { groups, affine, eps } => {
                let (weight, bias) = (
                    affine.as_ref().map(|a| cast(&a[0])),
                    affine.as_ref().map(|a| cast(&a[1])),
                );
                x.f_group_norm(*groups, weight, bias, *eps, true)
            }
            Self::LayerNorm { shape, weight, bias, eps } => x.f_layer_norm(
                shape,
                weight.as_ref().map(cast),
                bias.as_ref().map(cast),
                *eps,
                true,
            ),
            Self::Dropout(p) => x.f_dropout(*p, mode.training),
            Self::Flatten { start, end } => x.f_flatten(*start, *end),
            Self::Relu => x.f_relu(),
            Self::Relu6 => x.f_relu6(),
            Self::LeakyRelu(slope) => {
                // tch's leaky_relu has no slope argument.
                x.f_where_self(&x.f_gt(0)?, &x.f_mul_scalar(*slope)?)
            }
            Self::Gelu(approximate) => x.f_gelu(approximate),
            Self::Silu => x.f_silu(),
            Self::Hardswish => x.f_hardswish(),
            Self::Hardsigmoid => x.f_hardsigmoid(),
            Self::Tanh => x.f_tanh(),
            Self::Sigmoid => x.f_sigmoid(),
            Self::Softmax(dim) => x.f_softmax(*dim, None::<Kind>),
            Self::LogSoftmax(dim) => x.f_log_softmax(*dim, None::<Kind>),
            Self::Identity => Ok(x.shallow_clone()),
            Self::Sequential(layers) => run(layers, x, mode),
            Self::Residual { layers, shortcut } => match ends_in_batch_norm(layers) {
                Some((before, norm)) => {
                    let inner = run(before, x, mode)?;
                    norm.forward(&inner, Some(&run(shortcut, x, mode)?), relu, mode)
                }
                None => run(layers, x, mode)?.f_add(&run(shortcut, x, mode)?),
            },
            Self::Gate(layers) => x.f_mul(&run(layers, x, mode)?),
            Self::StochasticDepth(p) if mode.training && *p > 0.0 => {
                let mut shape = vec![1; x.dim()];
                shape[0] = x.size()[0];
                let kept =
                    x.f_new_ones(&shape, (x.kind(), x.device()))?.f_dropout(*p, true)?;
                x.f_mul(&kept)
            }
            Self::StochasticDepth(_) => Ok(x.shallow_clone()),
            Self::Permute(dims) => x.f_permute(dims),
            Self::Select { dim, index } => x.f_select(*dim, *index),
            Self::LayerNorm2d { weight, bias, eps } => {
                let channels = weight.size();
                let x = x.f_permute([0, 2, 3, 1])?;
                let x = x.f_layer_norm(
                    &channels,
                    Some(cast(weight)),
                    Some(cast(bias)),
                    *eps,
                    true,
                )?;
                x.f_permute([0, 3, 1, 2])
            }
            Self::LayerScale(factors) => x.f_mul(&cast(factors)),
            Self::ClassToken(token) => {
                // A token for each image.
                let tokens = x.f_narrow(1, 0, 1)?.f_zeros_like()?.f_add(&cast(token))?;
                Tensor::f_cat(&[&tokens, x], 1)
            }
            Self::PositionEmbedding(embedding) => x.f_add(&cast(embedding)),
            Self::MultiheadAttention(attention) => attention.forward(x, mode),
        }
    }
}
