//! torch.nn.Sequential.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use super::{CheckedLayers, NamedLayer, export_all, forward_all};
use crate::onnx::{Graph, Value};
use crate::outputs::Outputs;

/// A sequence of layers as one layer. Their parameters are named `INDEX.0.weight`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sequential {
    #[serde(rename = "layer")]
    layers: CheckedLayers,
}

impl Arguments for Sequential {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let layers = builder.last_sequence(&self.layers)?;
        Ok(Box::new(SequentialLayer { layers }))
    }

    fn keeps_shape(&self) -> bool {
        self.layers.keep_shape()
    }

    fn outputs(&self) -> Outputs {
        self.layers.outputs()
    }
}

/// Layers that are computed in order. Repeat builds these, too.
pub(super) struct SequentialLayer {
    pub(super) layers: Vec<NamedLayer>,
}

impl Layer for SequentialLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        forward_all(&self.layers, x, mode)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        export_all(&self.layers, graph, x)
    }

    fn has_layers(&self) -> bool {
        true
    }
}
