//! torch.nn.Sigmoid: `1 / (1 + exp(-x))`.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};
use crate::outputs::Outputs;

/// torch.nn.Sigmoid: `1 / (1 + exp(-x))`. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sigmoid {}

impl Arguments for Sigmoid {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn outputs(&self) -> Outputs {
        Outputs::Sigmoid
    }
}

impl Layer for Sigmoid {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_sigmoid()?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        Ok(graph.op("Sigmoid", &[&x.name], &[]))
    }
}
