//! The vision transformer's position embedding.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::recipe::Init;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// Adds a trained embedding, initialised with `normal_(std=0.02)`, to `[N, T, E]`. The
/// parameter has the layer's own name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PositionEmbedding {}

impl Arguments for PositionEmbedding {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let [count, size] = builder.tokens()?;
        let init = Init::Normal { mean: 0.0, std: 0.02 };
        let embedding = builder.drawn("", &init, &[1, count, size])?;
        Ok(Box::new(PositionEmbeddingLayer { embedding }))
    }
}

struct PositionEmbeddingLayer {
    /// `[1, T, E]`, float32.
    embedding: Tensor,
}

impl Layer for PositionEmbeddingLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_add(&mode.cast(&self.embedding)?)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let embedding = graph.tensor(&self.embedding)?;
        Ok(graph.op("Add", &[&x.name, &embedding], &[]))
    }
}
