//! torch.nn.ReLU6: `min(max(x, 0), 6)`.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::Inplace;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::Activation;
use crate::onnx::{Graph, Value};

/// torch.nn.ReLU6: `min(max(x, 0), 6)`. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReLU6 {
    #[serde(default, skip_serializing_if = "Inplace::is_ignored")]
    inplace: Inplace,
}

impl Arguments for ReLU6 {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for ReLU6 {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_relu6()?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let least = graph.number(0.0);
        let most = graph.number(6.0);
        Ok(graph.op("Clip", &[&x.name, &least, &most], &[]))
    }

    fn activation(&self) -> Activation {
        Activation::Relu6
    }
}
