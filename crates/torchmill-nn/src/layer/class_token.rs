//! The vision transformer's class token.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};

/// Puts a trained token, zeros at the start, before those of `[N, T, E]`, which gives
/// `[N, T + 1, E]`. The parameter is called as the layer itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassToken {}

impl Arguments for ClassToken {
    fn build(&self, builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        let [_, size] = builder.tokens()?;
        let token = builder.constant("", 0.0, &[1, 1, size])?;
        Ok(Box::new(ClassTokenLayer { token }))
    }
}

struct ClassTokenLayer {
    /// `[1, 1, E]`, float32.
    token: Tensor,
}

impl Layer for ClassTokenLayer {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, LayerError> {
        let zeros = x.f_narrow(1, 0, 1)?.f_zeros_like()?;
        let tokens = zeros.f_add(&mode.cast(&self.token)?)?;
        Ok(Tensor::f_cat(&[&tokens, x], 1)?)
    }
}
