//! torch.nn.Dropout (N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural
//! Networks from Overfitting", 2014).

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::arguments::Inplace;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// torch.nn.Dropout: in training, each element is zeroed with probability `p` and divided
/// by `1 - p` otherwise. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dropout {
    #[serde(default = "half")]
    p: f64,
    #[serde(default, skip_serializing_if = "Inplace::is_ignored")]
    inplace: Inplace,
}

fn half() -> f64 {
    0.5
}

impl Arguments for Dropout {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let p = self.p;
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::usage(format_args!("p = {p} is not from 0 to 1")).into());
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

impl Layer for Dropout {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_dropout(self.p, mode.training)?)
    }

    fn export(&self, _graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        // Dropout does nothing in evaluation.
        Ok(x.name.clone())
    }
}
