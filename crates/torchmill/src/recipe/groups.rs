//! `[[train.group]]` and `no_decay`: parameters with their own learning rate, weight
//! decay or optimizer.

use serde::{Deserialize, Serialize};

use super::Typed;
use super::training::refuse;
use crate::Result;

/// `[[train.group]]`: what differs for the parameters whose names the pattern matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Names of the state dict; `*` stands for any characters.
    pub pattern: String,
    /// Instead of the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Instead of the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Instead of `[train.optimizer]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<Typed>,
}

/// Which weights do not decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoDecay {
    /// Parameters called `bias`.
    Bias,
    /// One-dimensional weights, such as BatchNorm2d's and GroupNorm's, and the biases
    /// next to them.
    Norm,
}

impl Group {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        if [self.lr, self.weight_decay]
            .into_iter()
            .flatten()
            .all(|x| x.is_finite() && x >= 0.0)
        {
            return Ok(());
        }
        refuse("group", "lr and weight_decay must be numbers from 0 up")
    }
}
