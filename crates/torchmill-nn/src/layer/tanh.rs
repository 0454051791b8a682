//! torch.nn.Tanh.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// torch.nn.Tanh. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tanh {}

impl Arguments for Tanh {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for Tanh {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_tanh()?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        Ok(graph.op("Tanh", &[&x.name], &[]))
    }
}
