//! torch.nn.GELU: `x` times the normal distribution function at `x` (D. Hendrycks, K.
//! Gimpel, "Gaussian Error Linear Units", 2016).

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Arguments, Builder, Layer, LayerError, Mode};
use crate::kernel::Activation;
use crate::kernel::gelu::gelu;
use crate::onnx::{Attribute, Graph, Value};

/// torch.nn.GELU. The output has the input's shape.
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
    /// The approximation by the hyperbolic tangent.
    Tanh,
}

impl Approximate {
    /// PyTorch's and ONNX's name.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tanh => "tanh",
        }
    }
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
        match self.approximate {
            Approximate::None => Ok(gelu(x)?),
            Approximate::Tanh => Ok(x.f_gelu("tanh")?),
        }
    }

    fn activation(&self) -> Activation {
        match self.approximate {
            Approximate::None => Activation::Gelu,
            Approximate::Tanh => Activation::Identity,
        }
    }

    fn export(&self, graph: &mut Graph, x: &Value) -> Result<String, LayerError> {
        let approximate = Attribute::Text(self.approximate.name());
        Ok(graph.op("Gelu", &[&x.name], &[("approximate", approximate)]))
    }
}
