//! torch.nn.MaxPool2d.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::arguments::{Pair, padding, positive_pair};
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::max_pool::max_pool2d;
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.MaxPool2d: `[N, C, H, W]` to `[N, C, H', W']`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaxPool2d {
    kernel_size: Pair,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Pair>,
    #[serde(default = "Pair::zero")]
    padding: Pair,
    #[serde(default = "Pair::one")]
    dilation: Pair,
    #[serde(default, skip_serializing_if = "Not::not")]
    return_indices: bool,
    #[serde(default)]
    ceil_mode: bool,
}

impl Arguments for MaxPool2d {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        positive_pair("kernel_size", self.kernel_size)?;
        positive_pair("stride", self.stride.unwrap_or(self.kernel_size))?;
        positive_pair("dilation", self.dilation)?;
        padding(self.padding)?;
        if self.return_indices {
            return Err(Error::usage("return_indices must be false").into());
        }
        Ok(Box::new(self.clone()))
    }
}

impl Layer for MaxPool2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        let kernel_size = self.kernel_size.get();
        let stride = self.stride.unwrap_or(self.kernel_size).get();
        let padding = self.padding.get();
        let dilation = self.dilation.get();
        // Our own kernel handles windows that do not overlap.
        if let Some(window) = self.pooling_window()
            && let Some(pooled) = max_pool2d(x, window)?
        {
            return Ok(pooled);
        }
        Ok(x.f_max_pool2d(kernel_size, stride, padding, dilation, self.ceil_mode)?)
    }

    fn pooling_window(&self) -> Option<[i64; 2]> {
        let kernel_size = self.kernel_size.get();
        let is_plain = self.stride.unwrap_or(self.kernel_size).get() == kernel_size
            && self.padding.get() == [0, 0]
            && self.dilation.get() == [1, 1]
            && !self.ceil_mode;
        is_plain.then_some(kernel_size)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let kernel = self.kernel_size.get();
        let stride = self.stride.unwrap_or(self.kernel_size).get();
        let [top, left] = self.padding.get();
        let dilation = self.dilation.get();
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel)),
            ("strides", Attribute::Ints(&stride)),
            ("pads", Attribute::Ints(&[top, left, top, left])),
            ("dilations", Attribute::Ints(&dilation)),
            ("ceil_mode", Attribute::Int(i64::from(self.ceil_mode))),
        ];
        Ok(graph.op("MaxPool", &[&x.name], &attributes))
    }
}
