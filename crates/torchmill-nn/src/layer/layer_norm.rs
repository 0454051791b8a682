//! torch.nn.LayerNorm (J. Ba et al., "Layer Normalization", 2016).

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::arguments::{epsilon, yes};
use super::builder::FLOAT;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.LayerNorm over the last dimensions, `normalized_shape`. The output has the
/// input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerNorm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    normalized_shape: Option<Dims>,
    #[serde(default = "epsilon")]
    eps: f64,
    #[serde(default = "yes")]
    elementwise_affine: bool,
    #[serde(default = "yes")]
    bias: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or a list of them")]
enum Dims {
    /// The last dimension.
    One(i64),
    /// The last dimensions.
    Many(Vec<i64>),
}

impl Arguments for LayerNorm {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let shape = match &self.normalized_shape {
            None => vec![builder.last_dimension()?],
            Some(Dims::One(n)) => vec![*n],
            Some(Dims::Many(dims)) => dims.clone(),
        };
        if !builder.shape().ends_with(&shape) {
            return Err(Error::usage(format_args!(
                "normalized_shape = {shape:?} does not match the last dimensions of its input"
            ))
            .into());
        }
        let mut weight = None;
        let mut bias = None;
        if self.elementwise_affine {
            weight = Some(builder.constant("weight", 1.0, &shape)?);
        }
        if self.elementwise_affine && self.bias {
            bias = Some(builder.constant("bias", 0.0, &shape)?);
        }
        Ok(Box::new(LayerNormLayer { shape, weight, bias, eps: self.eps }))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

struct LayerNormLayer {
    shape: Vec<i64>,
    /// Float32 of shape `normalized_shape`, like the bias.
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    eps: f64,
}

impl Layer for LayerNormLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let weight = mode.cast_option(self.weight.as_ref())?;
        let bias = mode.cast_option(self.bias.as_ref())?;
        Ok(x.f_layer_norm(&self.shape, weight, bias, self.eps, true)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let weight = match &self.weight {
            Some(weight) => graph.tensor(weight)?,
            None => graph.tensor(&Tensor::f_ones(&self.shape, FLOAT)?)?,
        };
        let bias = self.bias.as_ref().map(|bias| graph.tensor(bias)).transpose()?;
        let mut inputs = vec![x.name.as_str(), weight.as_str()];
        inputs.extend(bias.as_deref());
        let attributes = [
            ("axis", Attribute::Int(-(self.shape.len() as i64))),
            ("epsilon", Attribute::Float(self.eps)),
        ];
        Ok(graph.op("LayerNormalization", &inputs, &attributes))
    }
}
