//! torch.nn.AvgPool2d.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::arguments::{Pair, padding, positive_pair, yes};
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.AvgPool2d: `[N, C, H, W]` to `[N, C, H', W']`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AvgPool2d {
    kernel_size: Pair,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Pair>,
    #[serde(default = "Pair::zero")]
    padding: Pair,
    #[serde(default)]
    ceil_mode: bool,
    #[serde(default = "yes")]
    count_include_pad: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    divisor_override: Option<i64>,
}

impl Arguments for AvgPool2d {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        positive_pair("kernel_size", self.kernel_size)?;
        positive_pair("stride", self.stride.unwrap_or(self.kernel_size))?;
        padding(self.padding)?;
        if self.divisor_override == Some(0) {
            return Err(Error::usage("divisor_override must not be 0").into());
        }
        Ok(Box::new(self.clone()))
    }
}

impl Layer for AvgPool2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_avg_pool2d(
            self.kernel_size.get(),
            self.stride.unwrap_or(self.kernel_size).get(),
            self.padding.get(),
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let kernel = self.kernel_size.get();
        let stride = self.stride.unwrap_or(self.kernel_size).get();
        let [top, left] = self.padding.get();
        if self.divisor_override.is_some() && self.ceil_mode {
            return Err(Error::failed(
                "ONNX has no AveragePool with divisor_override and ceil_mode",
            )
            .into());
        }
        // With `divisor_override`, the mean is turned back into a sum and divided anew.
        let includes_padding = self.count_include_pad || self.divisor_override.is_some();
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&stride)),
            ("pads", Attribute::Ints(&[top, left, top, left])),
            ("ceil_mode", Attribute::Int(i64::from(self.ceil_mode))),
            ("count_include_pad", Attribute::Int(i64::from(includes_padding))),
        ];
        let means = graph.op("AveragePool", &[&x.name], &attributes);
        let Some(divisor) = self.divisor_override else { return Ok(means) };
        let factor = graph.number((kernel[0] * kernel[1]) as f64 / divisor as f64);
        Ok(graph.op("Mul", &[&means, &factor], &[]))
    }
}
