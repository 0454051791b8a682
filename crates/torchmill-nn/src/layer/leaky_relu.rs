//! torch.nn.LeakyReLU: `x` where it is above 0, `negative_slope * x` elsewhere.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::Inplace;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};
use crate::tensor::number;

/// torch.nn.LeakyReLU. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeakyReLU {
    #[serde(default = "slope")]
    negative_slope: f64,
    #[serde(default, skip_serializing_if = "Inplace::is_ignored")]
    inplace: Inplace,
}

fn slope() -> f64 {
    0.01
}

impl Arguments for LeakyReLU {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for LeakyReLU {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        // tch's leaky_relu has no slope argument.
        let below = x.f_mul(&number(self.negative_slope))?;
        Ok(x.f_where_self(&x.f_gt(0)?, &below)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let alpha = [("alpha", Attribute::Float(self.negative_slope))];
        Ok(graph.op("LeakyRelu", &[&x.name], &alpha))
    }
}
