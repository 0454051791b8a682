//! torch.nn.GELU: `x` times the normal distribution's function at `x` (D. Hendrycks, K.
//! Gimpel, "Gaussian Error Linear Units", 2016).

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};

/// torch.nn.GELU. Any shape, which the output has too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::upper_case_acronyms, reason = "the name in torch.nn")]
pub(super) struct GELU {
    #[serde(default)]
    approximate: Approximate,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Approximate {
    /// The exact function.
    #[default]
    None,
    /// By the hyperbolic tangent.
    Tanh,
}

impl Arguments for GELU {
    fn build(&self, _builder: &mut Builder) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(self.clone()))
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

impl Layer for GELU {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Result<Tensor, LayerError> {
        let approximate = match self.approximate {
            Approximate::None => "none",
            Approximate::Tanh => "tanh",
        };
        Ok(x.f_gelu(approximate)?)
    }
}
