//! Self-attention (A. Vaswani et al., "Attention Is All You Need", 2017), as
//! torch.nn.MultiheadAttention.

use tch::{TchError, Tensor};

use super::Mode;

pub(super) struct MultiheadAttention {
    pub(super) heads: i64,
    /// `[3 E, E]`: for queries, keys and values.
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) out: Tensor,
    pub(super) out_bias: Tensor,
    pub(super) dropout: f64,
}

impl MultiheadAttention {
    /// `[B, N, E]` of `[B, N, E]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let cast = |t: &Tensor| t.to_kind(mode.kind);
        let (tokens, size) = (x.size()[1], self.out.size()[0]);
        let all = x.f_linear(&cast(&self.weight), Some(cast(&self.bias)))?;
        let all = all
            .f_reshape([-1, tokens, 3, self.heads, size / self.heads])?
            .f_permute([2, 0, 3, 1, 4])?;
        let [q, k, v] = [all.f_select(0, 0)?, all.f_select(0, 1)?, all.f_select(0, 2)?];
        let dropout = if mode.training { self.dropout } else { 0.0 };
        let mixed = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            None::<Tensor>,
            dropout,
            false,
            None,
            false,
        )?;
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([-1, tokens, size])?;
        mixed.f_linear(&cast(&self.out), Some(cast(&self.out_bias)))
    }
}
