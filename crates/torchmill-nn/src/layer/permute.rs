//! torchvision.ops.Permute.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// torchvision.ops.Permute: reorders the dimensions as `dims` says. It must begin with 0,
/// the batch dimension.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permute {
    dims: Vec<i64>,
}

impl Arguments for Permute {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        if self.dims.first() != Some(&0) {
            return Err(Error::usage("dims must begin with 0, the batch's").into());
        }
        Ok(Box::new(self.clone()))
    }
}

impl Layer for Permute {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_permute(&self.dims)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let count = x.shape().len() as i64;
        let order: Vec<i64> = self.dims.iter().map(|dim| dim.rem_euclid(count)).collect();
        Ok(graph.transpose(&x.name, &order))
    }
}
