//! The vision transformer's class token.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::onnx::{Attribute, Graph, Value};

/// Puts a trained token, initially zeros, before the tokens of `[N, T, E]`, which gives
/// `[N, T + 1, E]`. The parameter has the layer's own name.
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

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let token = graph.tensor(&self.token)?;
        let images = graph.op(
            "Shape",
            &[&x.name],
            &[("start", Attribute::Int(0)), ("end", Attribute::Int(1))],
        );
        let of_one = graph.ints(&self.token.size()[1..]);
        let concat = [("axis", Attribute::Int(0))];
        let shape = graph.op("Concat", &[&images, &of_one], &concat);
        let tokens = graph.op("Expand", &[&token, &shape], &[]);
        Ok(graph.op("Concat", &[&tokens, &x.name], &[("axis", Attribute::Int(1))]))
    }
}
