//! The layers of a network: one file for each class, and what they share.
//!
//! A recipe names a layer's class and its arguments. The list at the end of this file
//! maps the class to its [`Arguments`]. They are checked and build a [`Layer`], which
//! holds the tensors and computes. A new layer is a file in `layer/` and a line in the
//! list.

mod arguments;
mod builder;
mod checked;
mod field_names;

pub(crate) use builder::Builder;
pub(crate) use checked::CheckedLayers;
use checked::Class;

use tch::{Kind, TchError, Tensor};
use torchmill::Error;

use crate::kernel::Activation;
use crate::kernel::gelu::gelu;
use crate::onnx::{Graph, Value};
use crate::outputs::Outputs;
use crate::torch_error;

/// The settings of a forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// `net.train()` or `net.eval()`: dropout and batch norm behave differently.
    pub training: bool,
    /// The dtype that the layers compute in. Weights are cast to it, and the logits back
    /// to float32.
    pub kind: Kind,
}

impl Mode {
    /// Casts a weight to the dtype that the layers compute in. Autograd passes the
    /// gradient back through the cast to the float32 weight.
    fn cast(self, weight: &Tensor) -> Result<Tensor, TchError> {
        weight.f_to_kind(self.kind)
    }

    fn cast_option(self, weight: Option<&Tensor>) -> Result<Option<Tensor>, TchError> {
        weight.map(|weight| self.cast(weight)).transpose()
    }
}

/// A layer's arguments in a recipe: torch.nn's, with its defaults.
///
/// Implementors also implement serde's `Serialize`, and `Deserialize` with
/// `deny_unknown_fields`. Their fields are in the order of torch.nn's arguments.
pub(crate) trait Arguments {
    /// Checks the arguments against the builder's input and creates the layer with its
    /// parameters and buffers.
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError>;

    /// Whether the output always has the input's shape. A Linear counts as the network's
    /// last layer if only such layers follow it.
    fn keeps_shape(&self) -> bool {
        false
    }

    /// What the layer's outputs are: logits, probabilities or log-probabilities.
    fn outputs(&self) -> Outputs {
        Outputs::Any
    }
}

/// A layer with its tensors. It shares them with the model's state dict.
pub(crate) trait Layer {
    /// Computes the output for a batch `x`, in the dtype of `mode`.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError>;

    /// Adds the layer's computation in evaluation to an ONNX graph. Returns the name of
    /// its output.
    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError>;

    /// The number of multiply-adds for one image of shape `input`.
    fn multiply_adds(&self, _input: &[i64], _output: &[i64]) -> u64 {
        0
    }

    /// Whether it contains other layers, through which the builder has already run the
    /// example.
    fn has_layers(&self) -> bool {
        false
    }

    /// What it is, if it is an activation function that a layer before it can apply.
    fn activation(&self) -> Activation {
        Activation::Identity
    }

    /// Whether a ReLU after it may overwrite its output: the output must be a new tensor
    /// that the layer's backward pass does not need.
    fn allows_inplace(&self) -> bool {
        false
    }

    /// Whether `forward_fused` can apply this activation in the same pass over memory.
    fn fuses(&self, _activation: Activation) -> bool {
        false
    }

    /// Whether `forward_fused` can add another tensor in the same pass over memory.
    fn fuses_add(&self) -> bool {
        false
    }

    /// The windows `[height, width]` if it is max pooling with windows that do not overlap
    /// and nothing else.
    fn pooling_window(&self) -> Option<[i64; 2]> {
        None
    }

    /// Computes the output and max pooling with windows `[height, width]` after it.
    /// `None` if this is not faster than one after the other.
    fn forward_pooled(
        &self,
        _x: &Tensor,
        _window: [i64; 2],
        _mode: Mode,
    ) -> Result<Option<Tensor>, LayerError> {
        Ok(None)
    }

    /// Computes the output together with the operations that follow it. A layer that
    /// fuses an activation must implement this.
    fn forward_fused(
        &self,
        x: &Tensor,
        fused: Fused,
        mode: Mode,
    ) -> Result<Tensor, LayerError> {
        fused.after(self.forward(x, mode)?)
    }
}

/// Operations that are fused with the layer before them.
#[derive(Default, Clone, Copy)]
pub(crate) struct Fused<'a> {
    /// Added to the output. It has the output's shape and dtype.
    pub(crate) add: Option<&'a Tensor>,
    /// Then applied.
    pub(crate) activation: Activation,
}

impl Fused<'_> {
    /// Applies the operations separately.
    fn after(self, output: Tensor) -> Result<Tensor, LayerError> {
        let mut y = output;
        if let Some(other) = self.add {
            y = y.f_add(other)?;
        }
        Ok(activate(y, self.activation)?)
    }
}

/// Applies an activation to `x`, a new tensor which no backward pass needs. Where the
/// gradient needs only the output, this is done in place, as in torchvision's networks
/// (`inplace=True`), which saves passes over memory. For the others, autograd would copy
/// the input first.
fn activate(mut x: Tensor, activation: Activation) -> Result<Tensor, TchError> {
    match activation {
        Activation::Relu => x.f_relu_(),
        Activation::Relu6 => x.f_relu6_(),
        Activation::Silu => x.f_silu(),
        Activation::Hardswish => x.f_hardswish(),
        Activation::Gelu => gelu(&x),
        _ => Ok(x),
    }
}

/// A layer and its name.
pub(crate) struct NamedLayer {
    /// For error messages, such as `layer 3 (Conv2d)`.
    pub(crate) name: String,
    pub(crate) layer: Box<dyn Layer>,
}

impl NamedLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        self.layer.forward(x, mode).map_err(|e| e.within(&self.name))
    }

    fn forward_fused(
        &self,
        x: &Tensor,
        fused: Fused,
        mode: Mode,
    ) -> Result<Tensor, LayerError> {
        self.layer.forward_fused(x, fused, mode).map_err(|e| e.within(&self.name))
    }

    fn forward_pooled(
        &self,
        x: &Tensor,
        window: [i64; 2],
        mode: Mode,
    ) -> Result<Option<Tensor>, LayerError> {
        self.layer.forward_pooled(x, window, mode).map_err(|e| e.within(&self.name))
    }
}

/// Runs `x` through the layers in order. Max pooling and an activation are fused with the
/// layer before them if that is faster, and a ReLU is computed in place.
pub(crate) fn forward_all(
    mut layers: &[NamedLayer],
    x: &Tensor,
    mode: Mode,
) -> Result<Tensor, LayerError> {
    let mut x = x.shallow_clone();
    while let [named, rest @ ..] = layers {
        layers = rest;
        if let Some(pooling) = Pooling::first_of(rest)
            && let Some(pooled) = named.forward_pooled(&x, pooling.window, mode)?
        {
            x = activate(pooled, pooling.activation)?;
            layers = pooling.rest;
            continue;
        }
        let activation =
            rest.first().map_or(Activation::Identity, |next| next.layer.activation());
        let has_activation = activation != Activation::Identity;
        if has_activation && named.layer.fuses(activation) {
            let fused = Fused { add: None, activation };
            x = named.forward_fused(&x, fused, mode)?;
            layers = &rest[1..];
        } else if activation == Activation::Relu && named.layer.allows_inplace() {
            x = activate(named.forward(&x, mode)?, activation)?;
            layers = &rest[1..];
        } else {
            x = named.forward(&x, mode)?;
        }
    }
    Ok(x)
}

/// Max pooling that can be fused with the layer before it.
struct Pooling<'a> {
    /// `[height, width]`.
    window: [i64; 2],
    /// Applied after the pooling.
    activation: Activation,
    /// The layers that follow.
    rest: &'a [NamedLayer],
}

impl<'a> Pooling<'a> {
    /// The pooling that the layers start with, or that follows a ReLU or ReLU6 at their
    /// start. A ReLU or ReLU6 may as well follow the pooling. Neither changes the order of
    /// elements, so the largest stays the largest. If several become 0, or 6, another one may
    /// win. But there the gradient is 0.
    fn first_of(layers: &'a [NamedLayer]) -> Option<Self> {
        let [first, rest @ ..] = layers else { return None };
        if let Some(window) = first.layer.pooling_window() {
            return Some(Self { window, activation: Activation::Identity, rest });
        }
        let activation = first.layer.activation();
        if !matches!(activation, Activation::Relu | Activation::Relu6) {
            return None;
        }
        let [second, rest @ ..] = rest else { return None };
        let window = second.layer.pooling_window()?;
        Some(Self { window, activation, rest })
    }
}

/// Adds the layers to an ONNX graph in order. Returns the name of the last layer's
/// output.
pub(crate) fn export_all(
    layers: &[NamedLayer],
    graph: &mut Graph,
    x: &Value,
) -> Result<String, LayerError> {
    let mode = Mode { training: false, kind: Kind::Float };
    let mut x = Value { name: x.name.clone(), example: x.example.shallow_clone() };
    for named in layers {
        let name = named.layer.export(graph, &x).map_err(|e| e.within(&named.name))?;
        let example = named.forward(&x.example, mode)?;
        x = Value { name, example };
    }
    Ok(x.name)
}

/// An error while a layer is built or computed.
#[derive(Debug)]
pub(crate) enum LayerError {
    /// The message does not name the layer yet. The caller adds the name.
    Own(Error),
    /// The message already names the layer.
    Named(Error),
}

impl LayerError {
    /// Adds the layer's name if the message has none.
    pub(crate) fn within(self, name: impl std::fmt::Display) -> Self {
        match self {
            Self::Own(e) => Self::Named(e.within(name)),
            Self::Named(e) => Self::Named(e),
        }
    }

    /// Turns it into a usage error: the layer of a recipe does not fit.
    fn into_usage(self) -> Self {
        match self {
            Self::Own(e) => Self::Own(Error::usage(e)),
            Self::Named(e) => Self::Named(e),
        }
    }

    /// The error for the user.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Own(e) | Self::Named(e) => e,
        }
    }
}

impl From<Error> for LayerError {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<TchError> for LayerError {
    fn from(error: TchError) -> Self {
        Self::Own(torch_error(&error))
    }
}

/// Declares each layer's file and adds its class to the list of classes. `cargo fmt` does
/// not see these files, `make fmt` does.
macro_rules! layers {
    ($($file:ident :: $class:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every layer class, by name.
        const CLASSES: &[Class] =
            &[$(Class::of::<$file::$class>(stringify!($class))),*];
    };
}

layers! {
    adaptive_avg_pool2d::AdaptiveAvgPool2d,
    avg_pool2d::AvgPool2d,
    batch_norm2d::BatchNorm2d,
    class_token::ClassToken,
    conv2d::Conv2d,
    dropout::Dropout,
    flatten::Flatten,
    gate::Gate,
    gelu::GELU,
    group_norm::GroupNorm,
    hardsigmoid::Hardsigmoid,
    hardswish::Hardswish,
    identity::Identity,
    layer_norm::LayerNorm,
    layer_norm2d::LayerNorm2d,
    layer_scale::LayerScale,
    leaky_relu::LeakyReLU,
    linear::Linear,
    log_softmax::LogSoftmax,
    max_pool2d::MaxPool2d,
    multihead_attention::MultiheadAttention,
    permute::Permute,
    position_embedding::PositionEmbedding,
    relu::ReLU,
    relu6::ReLU6,
    repeat::Repeat,
    residual::Residual,
    scale::Scale,
    select::Select,
    sequential::Sequential,
    sigmoid::Sigmoid,
    silu::SiLU,
    softmax::Softmax,
    stochastic_depth::StochasticDepth,
    tanh::Tanh,
}

#[cfg(test)]
mod tests;
