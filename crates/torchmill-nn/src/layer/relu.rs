//! torch.nn.ReLU: `max(x, 0)`.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::Inplace;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::Activation;
use crate::onnx::{Graph, Value};

/// torch.nn.ReLU: `max(x, 0)`. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReLU {
    #[serde(default, skip_serializing_if = "Inplace::is_ignored")]
    inplace: Inplace,
}

impl Arguments for ReLU {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for ReLU {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_relu()?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        Ok(graph.op("Relu", &[&x.name], &[]))
    }

    fn activation(&self) -> Activation {
        Activation::Relu
    }
}
