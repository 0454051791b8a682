//! `x.select(dim, index)`. torch.nn has no such class.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::not_the_batch;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};

/// `x.select(dim, index)`: takes one index of a dimension and removes the dimension.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Select {
    dim: i64,
    index: i64,
}

impl Arguments for Select {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        not_the_batch("dim", self.dim, builder.dims())?;
        Ok(Box::new(self.clone()))
    }
}

impl Layer for Select {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_select(self.dim, self.index)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let index = graph.int(self.index);
        Ok(graph.op("Gather", &[&x.name, &index], &[("axis", Attribute::Int(self.dim))]))
    }
}
