//! torch.nn.AdaptiveAvgPool2d.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arguments::{Pair, positive_pair};
use super::{Arguments, Builder, Layer, LayerError, Mode};

/// torch.nn.AdaptiveAvgPool2d: `[N, C, H, W]` to `[N, C, output_size]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdaptiveAvgPool2d {
    output_size: Pair,
}

impl Arguments for AdaptiveAvgPool2d {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        positive_pair("output_size", self.output_size)?;
        Ok(Box::new(self.clone()))
    }
}

impl Layer for AdaptiveAvgPool2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        Ok(x.f_adaptive_avg_pool2d(self.output_size.get())?)
    }
}
