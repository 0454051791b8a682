//! Self-attention (A. Vaswani et al., "Attention Is All You Need", 2017), as
//! torch.nn.MultiheadAttention.

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};
use torchmill::Error;
use torchmill::recipe::Init;

use super::arguments::agreed;
use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::linear::linear;
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.MultiheadAttention with `batch_first=True`, as self-attention on `[N, T, E]`.
/// The output has the input's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MultiheadAttention {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embed_dim: Option<i64>,
    num_heads: i64,
    #[serde(default)]
    dropout: f64,
}

impl Arguments for MultiheadAttention {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let [_, size] = builder.tokens()?;
        let size = agreed("embed_dim", self.embed_dim, size)?;
        let heads = self.num_heads;
        if heads < 1 || size % heads != 0 {
            return Err(Error::usage(format_args!(
                "num_heads = {heads} does not divide {size}"
            ))
            .into());
        }
        // PyTorch initialises them in this order.
        let (out, out_bias) = builder.linear_within("out_proj", size, size)?;
        let init = Init::XavierUniform { gain: 1.0 };
        let weight = builder.drawn("in_proj_weight", &init, &[3 * size, size])?;
        let bias = builder.constant("in_proj_bias", 0.0, &[3 * size])?;
        let _ = no_grad(|| out_bias.shallow_clone().f_zero_())?;
        let dropout = self.dropout;
        if dropout > 0.0 {
            builder.needs_whole_batch();
        }
        Ok(Box::new(AttentionLayer { heads, weight, bias, out, out_bias, dropout }))
    }
}

struct AttentionLayer {
    heads: i64,
    /// `[3 E, E]`, float32: for queries, keys and values.
    weight: Tensor,
    /// `[3 E]`, float32.
    bias: Tensor,
    /// `[E, E]`, float32.
    out: Tensor,
    /// `[E]`, float32.
    out_bias: Tensor,
    dropout: f64,
}

impl Layer for AttentionLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let tokens = x.size()[1];
        let size = self.out.size()[0];
        let projected =
            linear(x, &mode.cast(&self.weight)?, Some(&mode.cast(&self.bias)?))?;
        let by_head = projected
            .f_reshape([-1, tokens, 3, self.heads, size / self.heads])?
            .f_permute([2, 0, 3, 1, 4])?;
        let queries = by_head.f_select(0, 0)?;
        let keys = by_head.f_select(0, 1)?;
        let values = by_head.f_select(0, 2)?;
        let dropout = if mode.training { self.dropout } else { 0.0 };
        let mixed = Tensor::f_scaled_dot_product_attention(
            &queries,
            &keys,
            &values,
            None::<Tensor>,
            dropout,
            false,
            None,
            false,
        )?;
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([-1, tokens, size])?;
        let bias = mode.cast(&self.out_bias)?;
        Ok(linear(&mixed, &mode.cast(&self.out)?, Some(&bias))?)
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let tokens = x.shape()[1];
        let size = self.out.size()[0];
        let width = size / self.heads;
        let projected = graph.linear(&x.name, &self.weight, Some(&self.bias))?;
        let by_head = graph.reshape(&projected, &[0, tokens, 3, self.heads, width]);
        let by_head = graph.transpose(&by_head, &[2, 0, 3, 1, 4]);
        let part = |graph: &mut Graph, index: i64| {
            let index = graph.int(index);
            graph.op("Gather", &[&by_head, &index], &[("axis", Attribute::Int(0))])
        };
        let queries = part(graph, 0);
        let keys = part(graph, 1);
        let values = part(graph, 2);
        let keys = graph.transpose(&keys, &[0, 1, 3, 2]);
        let products = graph.op("MatMul", &[&queries, &keys], &[]);
        let scale = graph.number(1.0 / (width as f64).sqrt());
        let scaled = graph.op("Mul", &[&products, &scale], &[]);
        let weights = graph.op("Softmax", &[&scaled], &[("axis", Attribute::Int(-1))]);
        let mixed = graph.op("MatMul", &[&weights, &values], &[]);
        let mixed = graph.transpose(&mixed, &[0, 2, 1, 3]);
        let mixed = graph.reshape(&mixed, &[0, tokens, size]);
        Ok(graph.linear(&mixed, &self.out, Some(&self.out_bias))?)
    }

    fn multiply_adds(&self, input: &[i64], _output: &[i64]) -> u64 {
        let tokens = input[0] as u64;
        let size = input[1] as u64;
        4 * tokens * size * size + 2 * tokens * tokens * size
    }
}
