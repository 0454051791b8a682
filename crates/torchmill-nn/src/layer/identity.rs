//! torch.nn.Identity: returns its input.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};
use crate::outputs::Outputs;

/// torch.nn.Identity: returns its input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {}

impl Arguments for Identity {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }

    fn outputs(&self) -> Outputs {
        Outputs::Inputs
    }
}

impl Layer for Identity {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.shallow_clone())
    }

    fn export(&self, _graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        Ok(x.name.clone())
    }
}
