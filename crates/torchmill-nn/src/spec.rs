//! What a full checkpoint says of its network: enough to build it again with nothing else
//! at hand.

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
    /// The class names; output `i` speaks for class `i`.
    pub classes: Vec<String>,
    /// The whole pipeline that turns an image file into an input when the network is
    /// used, as text.
    pub transform: String,
    /// The batch size that the total test loss is summed by.
    pub batch_size: usize,
    /// The name of the data set that it was trained on.
    pub dataset: String,
    /// The loss function that it was trained with, which says what its outputs mean.
    /// Files of before it was written down are taken for CrossEntropyLoss's.
    #[serde(default = "default_loss")]
    pub loss: Typed,
}

impl Spec {
    /// As JSON, for the safetensors metadata. An architecture's layers and all arguments
    /// are written out, so that a reader needs to know no architecture and no default.
    pub fn to_json(&self) -> Result<String> {
        let structure = self.model.structure(self.input)?;
        let spec = Self { model: model::complete(&structure)?, ..self.clone() };
        serde_json::to_string(&spec)
            .map_err(|e| Error::failed(format_args!("the model spec: {e}")))
    }

    /// From the safetensors metadata.
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
