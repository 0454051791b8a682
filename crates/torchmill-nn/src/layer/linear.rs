//! torch.nn.Linear.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::arguments::{agreed, positive, yes};
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::linear::linear;
use crate::onnx::{Graph, Value};

/// torch.nn.Linear: `[N, ..., in_features]` to `[N, ..., out_features]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Linear {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_features: Option<i64>,
    /// Optional in the network's last layer. The default is the number of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out_features: Option<i64>,
    #[serde(default = "yes")]
    bias: bool,
}

impl Arguments for Linear {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let inputs = agreed("in_features", self.in_features, builder.last_dimension()?)?;
        let outputs = match (self.out_features, builder.classes_of_last_layer()) {
            (Some(n), _) => positive("out_features", n)?,
            (None, Some(classes)) => classes,
            (None, None) => {
                return Err(Error::usage(
                    "out_features is missing: only the last layer's can be inferred",
                )
                .into());
            }
        };
        let (weight, bias) = builder.weight_and_bias(&[outputs, inputs], self.bias)?;
        Ok(Box::new(LinearLayer { weight, bias }))
    }
}

struct LinearLayer {
    /// `[out_features, in_features]`, float32.
    weight: Tensor,
    /// `[out_features]`, float32.
    bias: Option<Tensor>,
}

impl Layer for LinearLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let weight = mode.cast(&self.weight)?;
        let bias = mode.cast_option(self.bias.as_ref())?;
        Ok(linear(x, &weight, bias.as_ref())?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        Ok(graph.linear(&x.name, &self.weight, self.bias.as_ref())?)
    }

    fn multiply_adds(&self, _input: &[i64], output: &[i64]) -> u64 {
        let outputs: i64 = output.iter().product();
        outputs as u64 * self.weight.size()[1] as u64
    }

    fn allows_inplace(&self) -> bool {
        true
    }
}
