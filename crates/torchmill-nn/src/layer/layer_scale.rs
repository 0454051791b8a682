//! A trained factor for each channel (H. Touvron et al., "Going deeper with Image
//! Transformers", 2021), as in ConvNeXt.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// `[N, C, H, W]` times a trained factor for each channel, initially `init`. The
/// parameter has the layer's own name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerScale {
    init: f64,
}

impl Arguments for LayerScale {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let shape = [builder.channels()?, 1, 1];
        let factors = builder.constant("", self.init, &shape)?;
        Ok(Box::new(LayerScaleLayer { factors }))
    }
}

struct LayerScaleLayer {
    /// `[C, 1, 1]`, float32.
    factors: Tensor,
}

impl Layer for LayerScaleLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_mul(&mode.cast(&self.factors)?)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let factors = graph.tensor(&self.factors)?;
        Ok(graph.op("Mul", &[&x.name, &factors], &[]))
    }
}
