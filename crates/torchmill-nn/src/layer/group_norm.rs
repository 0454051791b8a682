//! torch.nn.GroupNorm (Y. Wu, K. He, "Group Normalization", 2018).

use serde::{Deserialize, Serialize};
use tch::Tensor;
use torchmill::Error;

use super::arguments::{agreed, epsilon, yes};
use super::builder::FLOAT;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.GroupNorm over groups of the channels of `[N, C, H, W]`. The output has the
/// input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupNorm {
    num_groups: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_channels: Option<i64>,
    #[serde(default = "epsilon")]
    eps: f64,
    #[serde(default = "yes")]
    affine: bool,
}

impl Arguments for GroupNorm {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let channels = agreed("num_channels", self.num_channels, builder.channels()?)?;
        let groups = self.num_groups;
        if groups < 1 || channels % groups != 0 {
            return Err(Error::usage(format_args!(
                "num_groups = {groups} does not divide {channels} channels"
            ))
            .into());
        }
        let affine = match self.affine {
            true => Some(builder.ones_and_zeros(&[channels])?),
            false => None,
        };
        Ok(Box::new(GroupNormLayer { groups, affine, eps: self.eps }))
    }
}

struct GroupNormLayer {
    groups: i64,
    /// Weight and bias, float32 `[C]`.
    affine: Option<[Tensor; 2]>,
    eps: f64,
}

impl Layer for GroupNormLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let weight = mode.cast_option(self.affine.as_ref().map(|a| &a[0]))?;
        let bias = mode.cast_option(self.affine.as_ref().map(|a| &a[1]))?;
        // libtorch 2.11 dereferences a null pointer in the backward pass if the input is
        // channels-last and needs no gradient itself.
        let x = match mode.training && !x.requires_grad() {
            true => x.f_contiguous()?,
            false => x.shallow_clone(),
        };
        Ok(x.f_group_norm(self.groups, weight, bias, self.eps, true)?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        // InstanceNormalization with a group as a channel: ONNX's own GroupNormalization
        // came late and changed.
        let mut shape = x.shape();
        shape[0] = 0;
        let grouped = graph.reshape(&x.name, &[0, self.groups, -1]);
        let ones = graph.tensor(&Tensor::f_ones([self.groups], FLOAT)?)?;
        let zeros = graph.tensor(&Tensor::f_zeros([self.groups], FLOAT)?)?;
        let eps = [("epsilon", Attribute::Float(self.eps))];
        let normalised =
            graph.op("InstanceNormalization", &[&grouped, &ones, &zeros], &eps);
        let y = graph.reshape(&normalised, &shape);
        let Some([weight, bias]) = &self.affine else { return Ok(y) };
        let weight = graph.tensor(&weight.f_reshape([-1, 1, 1])?)?;
        let bias = graph.tensor(&bias.f_reshape([-1, 1, 1])?)?;
        let scaled = graph.op("Mul", &[&y, &weight], &[]);
        Ok(graph.op("Add", &[&scaled, &bias], &[]))
    }
}
