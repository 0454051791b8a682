//! torch.nn.SiLU: `x * sigmoid(x)`.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::Inplace;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::Activation;
use crate::onnx::{Graph, Value};

/// torch.nn.SiLU: `x * sigmoid(x)`. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiLU {
    #[serde(default, skip_serializing_if = "Inplace::is_ignored")]
    inplace: Inplace,
}

impl Arguments for SiLU {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for SiLU {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_silu()?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let gate = graph.op("Sigmoid", &[&x.name], &[]);
        Ok(graph.op("Mul", &[&x.name, &gate], &[]))
    }

    fn activation(&self) -> Activation {
        Activation::Silu
    }
}
