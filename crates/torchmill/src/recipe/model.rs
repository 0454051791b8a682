//! `[model]`: a network written layer by layer, or an architecture by its name; and the
//! weights that it starts from.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::architecture;
use super::{Initialise, Layer, Options, Stem};
use crate::{Error, Result};

/// `[model]`: an `nn.Sequential`, layer by layer, or a built-in architecture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A built-in architecture, such as `resnet18`, instead of layers. A checkpoint's
    /// spec has both, and the layers are those of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// How a ResNet begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<Stem>,
    /// The architecture's dropout probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// The architecture's probability of stochastic depth in its last block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stochastic_depth_prob: Option<f64>,
    /// Height and width of a vision transformer's patches, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_size: Option<i64>,
    /// The attribute that holds the network in the PyTorch class, `module1` in the
    /// article: parameters are then called `module1.0.weight`. Without it they are called
    /// `0.weight`, as in a plain `nn.Sequential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// A file of weights to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Patterns of names that are not loaded from that file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_except: Vec<String>,
    /// Patterns of names in the state dict that training does not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// How weights are initialised if not by torch.nn's defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initialise: Vec<Initialise>,
    /// The layers, in order.
    #[serde(rename = "layer", default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
}

impl Model {
    /// A network of these layers.
    pub fn of(layers: Vec<Layer>) -> Self {
        Self { layers, ..Self::default() }
    }

    /// Checks what the types do not.
    pub fn check(&self) -> Result<()> {
        match (&self.architecture, self.layers.is_empty()) {
            (None, true) => Err(Error::usage(
                "[model] has no layers: add [[model.layer]] tables, or architecture = \
                 \"resnet18\" or another",
            )),
            (Some(name), false) => Err(Error::usage(format_args!(
                "[model] has both architecture = \"{name}\" and layers of its own: \
                 leave out one"
            ))),
            (name, _) => architecture::check(name.as_deref(), &self.options()),
        }
    }

    /// The network with its layers written out, for images of shape `input`, `[C, H, W]`.
    pub fn written_out(&self, input: [usize; 3]) -> Result<Cow<'_, Self>> {
        let Some(name) = self.architecture.as_deref().filter(|_| self.layers.is_empty())
        else {
            return Ok(Cow::Borrowed(self));
        };
        let network = architecture::network(name, &self.options(), input)?;
        // The recipe's own rules come first, since the first rule that fits counts.
        let initialise =
            self.initialise.iter().cloned().chain(network.initialise).collect();
        Ok(Cow::Owned(Self { layers: network.layers, initialise, ..self.clone() }))
    }

    /// Like [`Model::written_out`], without what concerns only training: the network's
    /// description in a checkpoint.
    pub fn structure(&self, input: [usize; 3]) -> Result<Self> {
        let mut model = self.written_out(input)?.into_owned();
        (model.init, model.init_except, model.freeze) = (None, Vec::new(), Vec::new());
        Ok(model)
    }

    fn options(&self) -> Options {
        Options {
            stem: self.stem,
            dropout: self.dropout,
            stochastic_depth_prob: self.stochastic_depth_prob,
            patch_size: self.patch_size,
        }
    }
}
