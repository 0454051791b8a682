//! torch.nn.AdaptiveAvgPool2d.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::arguments::{Pair, positive_pair};
use super::builder::FLOAT;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Graph, Value};

/// torch.nn.AdaptiveAvgPool2d: `[N, C, H, W]` to `[N, C, *output_size]`.
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
        let size = self.output_size.get();
        if size == [1, 1] && x.dim() == 4 && (x.kind(), x.device()) == FLOAT {
            return mean(x);
        }
        Ok(x.f_adaptive_avg_pool2d(size)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let [height, width] = self.output_size.get();
        if [height, width] == [1, 1] {
            return Ok(graph.op("GlobalAveragePool", &[&x.name], &[]));
        }
        // The means over rows and then over columns, as matrix products.
        let shape = x.shape();
        let rows = graph.tensor(&means(shape[2], height)?)?;
        let columns = graph.tensor(&means(shape[3], width)?.f_transpose(0, 1)?)?;
        let pooled = graph.op("MatMul", &[&rows, &x.name], &[]);
        Ok(graph.op("MatMul", &[&pooled, &columns], &[]))
    }
}

/// The mean of each channel, as ATen computes it: a sum, and then a division. If autograd
/// sees these two, the gradient of the sum is a view. ATen's gradient of the mean is a tensor
/// of the image's size.
fn mean(x: &Tensor) -> Result<Tensor, LayerError> {
    let pixels = x.size()[2..].iter().product::<i64>();
    let sum = x.f_sum_dim_intlist([2, 3].as_slice(), true, Kind::Float)?;
    Ok(sum.f_div_scalar(pixels)?)
}

/// The matrix `[outputs, inputs]` that averages over nearly equal parts: part `i` goes
/// from `i * inputs / outputs`, rounded down, to `(i + 1) * inputs / outputs`, rounded
/// up.
fn means(inputs: i64, outputs: i64) -> Result<Tensor, TchError> {
    let mut weights = Vec::new();
    for output in 0..outputs {
        let start = output * inputs / outputs;
        let end = ((output + 1) * inputs + outputs - 1) / outputs;
        for input in 0..inputs {
            let is_in = (start..end).contains(&input);
            weights.push(if is_in { 1.0 / (end - start) as f32 } else { 0.0 });
        }
    }
    Tensor::f_from_slice(&weights)?.f_reshape([outputs, inputs])
}
