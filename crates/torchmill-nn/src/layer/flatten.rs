//! torch.nn.Flatten.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::not_the_batch;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};
use crate::outputs::Outputs;

/// torch.nn.Flatten: `[N, C, H, W]` to `[N, C * H * W]`, by default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flatten {
    #[serde(default = "first")]
    start_dim: i64,
    #[serde(default = "last")]
    end_dim: i64,
}

fn first() -> i64 {
    1
}

fn last() -> i64 {
    -1
}

impl Arguments for Flatten {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        not_the_batch("start_dim", self.start_dim, builder.dims())?;
        Ok(Box::new(self.clone()))
    }

    fn outputs(&self) -> Outputs {
        Outputs::Inputs
    }
}

impl Layer for Flatten {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_flatten(self.start_dim, self.end_dim)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let flat = x.example.f_flatten(self.start_dim, self.end_dim)?;
        let mut shape = flat.size();
        // 0 keeps the batch size.
        shape[0] = 0;
        Ok(graph.reshape(&x.name, &shape))
    }
}
