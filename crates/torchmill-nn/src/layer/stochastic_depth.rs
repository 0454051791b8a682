//! torchvision.ops.StochasticDepth (G. Huang et al., "Deep Networks with Stochastic
//! Depth", 2016).

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// torchvision.ops.StochasticDepth with `mode="row"`: in training, each image's whole
/// input is zeroed with probability `p` and divided by `1 - p` otherwise. The output has
/// the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StochasticDepth {
    p: f64,
}

impl Arguments for StochasticDepth {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let p = self.p;
        if !(0.0..1.0).contains(&p) {
            return Err(
                Error::usage(format_args!("p = {p} is not from 0 to below 1")).into()
            );
        }
        if p > 0.0 {
            builder.needs_whole_batch();
        }
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for StochasticDepth {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        if !mode.training || self.p == 0.0 {
            return Ok(x.shallow_clone());
        }
        let mut shape = vec![1; x.dim()];
        shape[0] = x.size()[0];
        let ones = x.f_new_ones(&shape, (x.kind(), x.device()))?;
        Ok(x.f_mul(&ones.f_dropout(self.p, true)?)?)
    }

    fn export(&self, _graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        // Stochastic depth does nothing in evaluation.
        Ok(x.name.clone())
    }
}
