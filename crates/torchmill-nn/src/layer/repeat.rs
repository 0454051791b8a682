//! A sequence of layers, repeated with separate parameters.

use serde::{Deserialize, Serialize};

use super::sequential::SequentialLayer;
use super::{Arguments, Builder, CheckedLayers, Layer, LayerError};
use crate::outputs::Outputs;

/// A Sequential of `times` Sequentials with the same layers. Each has its own parameters:
/// `INDEX.0.0.weight`, `INDEX.1.0.weight`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    times: usize,
    #[serde(rename = "layer")]
    layers: CheckedLayers,
}

impl Arguments for Repeat {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let mut layers = Vec::new();
        for i in 0..self.times {
            layers.push(builder.sequential_within(&i.to_string(), &self.layers)?);
        }
        Ok(Box::new(SequentialLayer { layers }))
    }

    fn outputs(&self) -> Outputs {
        self.layers.outputs()
    }
}
