//! LayerNorm over the channels of an image, as in ConvNeXt (torchvision's LayerNorm2d).

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::{agreed, epsilon};
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};

/// LayerNorm over the channels of `[N, C, H, W]`. The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerNorm2d {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_channels: Option<i64>,
    #[serde(default = "epsilon")]
    eps: f64,
}

impl Arguments for LayerNorm2d {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let channels = agreed("num_channels", self.num_channels, builder.channels()?)?;
        let [weight, bias] = builder.ones_and_zeros(&[channels])?;
        Ok(Box::new(LayerNorm2dLayer { weight, bias, eps: self.eps }))
    }
}

struct LayerNorm2dLayer {
    /// `[C]`, float32, like the bias.
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Layer for LayerNorm2dLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let weight = mode.cast(&self.weight)?;
        let bias = mode.cast(&self.bias)?;
        let channels = self.weight.size();
        let x = x.f_permute([0, 2, 3, 1])?;
        let x = x.f_layer_norm(&channels, Some(weight), Some(bias), self.eps, true)?;
        Ok(x.f_permute([0, 3, 1, 2])?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let pixels = graph.transpose(&x.name, &[0, 2, 3, 1]);
        let weight = graph.tensor(&self.weight)?;
        let bias = graph.tensor(&self.bias)?;
        let attributes =
            [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(self.eps))];
        let y = graph.op("LayerNormalization", &[&pixels, &weight, &bias], &attributes);
        Ok(graph.transpose(&y, &[0, 3, 1, 2]))
    }
}
