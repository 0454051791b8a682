//! An input times a constant. torch.nn has no such class.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};
use crate::tensor::number;

/// `factor * x`. After the last layer, it scales the logits. The output has the input's
/// shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    factor: f64,
}

impl Arguments for Scale {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        if !self.factor.is_finite() {
            return Err(Error::usage("factor must be a finite number").into());
        }
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for Scale {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_mul(&number(self.factor))?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let factor = graph.number(self.factor);
        Ok(graph.op("Mul", &[&x.name, &factor], &[]))
    }
}
