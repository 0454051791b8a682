//! The layers of a network: a file for each, and what they have in common.
//!
//! A recipe gives a layer's class and its arguments. The class is looked up in the list
//! at the end of this file, which gives [`Arguments`], checked; these build a [`Layer`],
//! which holds tensors and computes. A new layer is a file in `layer/` and a line in the
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

use crate::onnx::{Graph, Value};
use crate::outputs::Outputs;
use crate::torch_error;

/// What a forward pass needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// `net.train()` or `net.eval()`: dropout and batch norm differ.
    pub training: bool,
    /// What the layers compute in; the weights are cast to it, the logits back to
    /// float32.
    pub kind: Kind,
}

impl Mode {
    /// A weight in the kind that the layers compute in. Autograd carries the gradient
    /// back through the cast to the float32 weight.
    fn cast(self, weight: &Tensor) -> Result<Tensor, TchError> {
        weight.f_to_kind(self.kind)
    }

    fn cast_option(self, weight: Option<&Tensor>) -> Result<Option<Tensor>, TchError> {
        weight.map(|weight| self.cast(weight)).transpose()
    }
}

/// A layer's arguments, as a recipe gives them: torch.nn's, with its defaults.
///
/// Implementors also implement serde's `Deserialize`, with `deny_unknown_fields`, and
/// `Serialize`. Their fields are in the order of torch.nn's arguments.
pub(crate) trait Arguments {
    /// Checks the arguments against the builder's input and makes the layer, with its
    /// parameters and buffers.
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError>;

    /// Whether the output has the input's shape, whatever that is. A Linear that only
    /// such layers follow is the network's last.
    fn keeps_shape(&self) -> bool {
        false
    }

    /// What its outputs are.
    fn outputs(&self) -> Outputs {
        Outputs::Any
    }
}

/// A layer with its tensors, which it shares with the model's state dict.
pub(crate) trait Layer {
    /// The output for a batch `x`, of the kind that `mode` says.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError>;

    /// Adds to an ONNX graph what the layer computes in evaluation, and returns the name of
    /// the output.
    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError>;

    /// Multiplications with an addition each, for one image of shape `input`.
    fn multiply_adds(&self, _input: &[i64], _output: &[i64]) -> u64 {
        0
    }

    /// Whether it is made of other layers, which the builder has run already.
    fn has_layers(&self) -> bool {
        false
    }

    /// Whether it is a ReLU.
    fn is_relu(&self) -> bool {
        false
    }

    /// Whether a ReLU after it may overwrite its output: that is a tensor of its own
    /// which its backward pass does not need.
    fn allows_inplace(&self) -> bool {
        false
    }

    /// Whether `forward_fused` computes the ReLU after it in the same pass over memory.
    fn fuses_relu(&self) -> bool {
        false
    }

    /// Whether `forward_fused` adds another tensor in the same pass over memory.
    fn fuses_add(&self) -> bool {
        false
    }

    /// The output with what comes after it.
    fn forward_fused(
        &self,
        x: &Tensor,
        fused: Fused,
        mode: Mode,
    ) -> Result<Tensor, LayerError> {
        fused.after(self.forward(x, mode)?)
    }
}

/// What is computed together with the layer before it.
#[derive(Default, Clone, Copy)]
pub(crate) struct Fused<'a> {
    /// Added to the output, of the same shape and kind.
    pub(crate) add: Option<&'a Tensor>,
    /// Whether numbers below 0 then become 0.
    pub(crate) relu: bool,
}

impl Fused<'_> {
    /// The same as operations of their own.
    fn after(self, output: Tensor) -> Result<Tensor, LayerError> {
        let mut y = output;
        if let Some(other) = self.add {
            y = y.f_add(other)?;
        }
        if self.relu {
            y = y.f_relu()?;
        }
        Ok(y)
    }
}

/// A layer and where it stands.
pub(crate) struct NamedLayer {
    /// For messages: `layer 3 (Conv2d)`.
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
}

/// What the layers give for `x`, one after the other. A ReLU is computed together with
/// the layer before it, or in place, as torchvision's networks do (`inplace=True`): it
/// saves a pass over memory.
pub(crate) fn forward_all(
    layers: &[NamedLayer],
    x: &Tensor,
    mode: Mode,
) -> Result<Tensor, LayerError> {
    let mut x = x.shallow_clone();
    let mut layers = layers.iter().peekable();
    while let Some(named) = layers.next() {
        let relu_follows = layers.peek().is_some_and(|next| next.layer.is_relu());
        if relu_follows && named.layer.fuses_relu() {
            let fused = Fused { add: None, relu: true };
            x = named.forward_fused(&x, fused, mode)?;
            layers.next();
        } else if relu_follows && named.layer.allows_inplace() {
            x = named.forward(&x, mode)?.f_relu_()?;
            layers.next();
        } else {
            x = named.forward(&x, mode)?;
        }
    }
    Ok(x)
}

/// Adds the layers to an ONNX graph, one after the other, and returns the name of the last
/// one's output.
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

/// Why a layer cannot be built or computed.
#[derive(Debug)]
pub(crate) enum LayerError {
    /// The layer itself. Whoever runs it adds its name.
    Own(Error),
    /// A layer that the message names already.
    Named(Error),
}

impl LayerError {
    /// With the layer's name, if the message has none.
    pub(crate) fn within(self, name: impl std::fmt::Display) -> Self {
        match self {
            Self::Own(e) => Self::Named(e.within(name)),
            Self::Named(e) => Self::Named(e),
        }
    }

    /// With the exit status of wrong usage: a recipe's layer that does not fit.
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

/// Declares each layer's file and puts its class into the list of classes.
macro_rules! layers {
    ($($file:ident :: $class:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every class of layers, by its name.
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
