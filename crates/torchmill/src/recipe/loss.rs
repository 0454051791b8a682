//! `[train.loss]`: the loss function, in torch.nn's names and with its arguments.

use serde::{Deserialize, Serialize};

use super::training::refuse;
use crate::{Error, Result};

/// The loss function of a classifier's outputs `[N, classes]` and labels `[N]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Loss {
    /// `torch.nn.CrossEntropyLoss`: `-log softmax(outputs)[label]`.
    CrossEntropyLoss {
        /// A weight for each class; the batch's mean is the weighted one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<Vec<f64>>,
        /// Images of this label count for nothing.
        #[serde(default = "no_label", skip_serializing_if = "is_no_label")]
        ignore_index: i64,
        /// The share of the target given to all classes alike, 0 to 1.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// `torch.nn.NLLLoss`: `-outputs[label]`, for a network that ends in LogSoftmax.
    NLLLoss {
        /// A weight for each class; the batch's mean is the weighted one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<Vec<f64>>,
        /// Images of this label count for nothing.
        #[serde(default = "no_label", skip_serializing_if = "is_no_label")]
        ignore_index: i64,
    },
    /// `torch.nn.MSELoss` of the outputs and the labels as one-hot rows, the mean over
    /// all elements.
    MSELoss {},
    /// `torch.nn.BCEWithLogitsLoss` of the outputs and the labels as one-hot rows, the
    /// mean over all elements.
    BCEWithLogitsLoss {
        /// For each class, how many times more its own images weigh than others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pos_weight: Option<Vec<f64>>,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::CrossEntropyLoss {
            weight: None,
            ignore_index: no_label(),
            label_smoothing: 0.0,
        }
    }
}

impl Loss {
    /// The weights of the classes, and what the recipe calls them.
    fn class_weights(&self) -> Option<(&str, &[f64])> {
        match self {
            Self::CrossEntropyLoss { weight, .. } | Self::NLLLoss { weight, .. } => {
                weight.as_deref().map(|w| ("weight", w))
            }
            Self::BCEWithLogitsLoss { pos_weight } => {
                pos_weight.as_deref().map(|w| ("pos_weight", w))
            }
            Self::MSELoss {} => None,
        }
    }

    /// Whether a label may be one to leave out.
    pub fn ignores(&self) -> bool {
        match self {
            Self::CrossEntropyLoss { ignore_index, .. }
            | Self::NLLLoss { ignore_index, .. } => *ignore_index >= 0,
            Self::MSELoss {} | Self::BCEWithLogitsLoss { .. } => false,
        }
    }

    /// Whether an image may weigh nothing in a batch's mean, so that a batch of such has
    /// none.
    pub fn may_weigh_nothing(&self) -> bool {
        let zero = match self {
            Self::CrossEntropyLoss { weight, .. } | Self::NLLLoss { weight, .. } => {
                weight.as_deref()
            }
            Self::MSELoss {} | Self::BCEWithLogitsLoss { .. } => None,
        };
        self.ignores() || zero.is_some_and(|weights| weights.contains(&0.0))
    }

    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        if let Self::CrossEntropyLoss { label_smoothing, .. } = self
            && !(0.0..=1.0).contains(label_smoothing)
        {
            return refuse("loss.label_smoothing", "must be from 0 to 1");
        }
        if let Some((key, weights)) = self.class_weights()
            && !weights.iter().all(|w| w.is_finite() && *w >= 0.0)
        {
            return refuse(
                &format!("loss.{key}"),
                "must be numbers from 0 up, one for each class",
            );
        }
        Ok(())
    }

    /// Checks that the weights are for so many classes.
    pub fn check_classes(&self, classes: usize) -> Result<()> {
        match self.class_weights() {
            Some((key, weights)) if weights.len() != classes => {
                Err(Error::usage(format_args!(
                    "[train] loss.{key} has {} values, but there are {classes} classes",
                    weights.len()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// PyTorch's default, which is no label.
fn no_label() -> i64 {
    -100
}
fn is_no_label(label: &i64) -> bool {
    *label == no_label()
}
