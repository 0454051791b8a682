//! torch.nn.Softmax.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::arguments::not_the_batch;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};
use crate::outputs::Outputs;

/// torch.nn.Softmax over dimension `dim`. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Softmax {
    dim: i64,
}

impl Arguments for Softmax {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        not_the_batch("dim", self.dim, builder.dims())?;
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn outputs(&self) -> Outputs {
        if [1, -1].contains(&self.dim) { Outputs::Probabilities } else { Outputs::Any }
    }
}

impl Layer for Softmax {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_softmax(self.dim, None::<Kind>)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        Ok(graph.op("Softmax", &[&x.name], &[("axis", Attribute::Int(self.dim))]))
    }
}
