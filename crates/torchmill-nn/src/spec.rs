//! The description of a network in a full checkpoint: enough to rebuild it without other
//! files.

use serde::{Deserialize, Serialize};
use torchmill::recipe::{Model, Typed, default_loss};
use torchmill::{Error, Result};

use crate::model;

/// The structure of a trained network and what its inputs and outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The layers, as in the recipe.
    pub model: Model,
    /// The shape of an input image, `[C, H, W]`.
    pub input: [usize; 3],
    /// The class names. Output `i` is class `i`.
    pub classes: Vec<String>,
    /// The whole pipeline, as text, that turns an image file into an input of the trained
    /// network.
    pub transform: String,
    /// The batch size over which the total test loss is summed.
    pub batch_size: usize,
    /// The name of the data set that the network was trained on.
    pub dataset: String,
    /// The loss function used in training, which determines what the outputs mean. Older
    /// files without it default to CrossEntropyLoss.
    #[serde(default = "default_loss")]
    pub loss: Typed,
}

impl Spec {
    /// Encodes the spec as JSON for the safetensors metadata. Layers of an architecture
    /// and default arguments are written out, so that a reader needs no list of either.
    pub fn to_json(&self) -> Result<String> {
        let structure = self.model.structure(self.input)?;
        let spec = Self { model: model::complete(&structure)?, ..self.clone() };
        serde_json::to_string(&spec)
            .map_err(|e| Error::failed(format_args!("the model spec: {e}")))
    }

    /// Decodes the spec from the safetensors metadata.
    pub fn from_json(text: &str) -> Result<Self> {
        let spec: Self = serde_json::from_str(text)
            .map_err(|e| Error::failed(format_args!("the model spec: {e}")))?;
        if spec.classes.is_empty() || spec.input.contains(&0) || spec.batch_size == 0 {
            return Err(Error::failed(
                "the model spec has no classes, an empty input shape or no batch size",
            ));
        }
        Ok(spec)
    }
}
