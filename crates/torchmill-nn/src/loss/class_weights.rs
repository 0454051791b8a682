//! A number for each class, as an argument of a loss function.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torchmill::recipe::refuse;
use torchmill::{Error, Result};

use crate::torch_error;

/// A list of numbers, one for each class, or `"balanced"`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassWeights {
    values: Values,
    /// The numbers on the device, once they are uploaded.
    #[serde(skip)]
    tensor: Option<Tensor>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list with a number for each class, or \"balanced\""
)]
enum Values {
    List(Vec<f64>),
    Rule(Rule),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rule {
    Balanced,
}

impl ClassWeights {
    /// Fails if a number is out of range.
    pub(super) fn check(&self, key: &str) -> Result<()> {
        match &self.values {
            Values::List(list) if !list.iter().all(|w| w.is_finite() && *w >= 0.0) => {
                let key = format!("loss.{key}");
                refuse(&key, "must be numbers from 0 up, one for each class")
            }
            _ => Ok(()),
        }
    }

    /// Copies the numbers to the device. Fails unless there is one for each class.
    pub(super) fn upload(
        &mut self,
        key: &str,
        classes: usize,
        device: Device,
    ) -> Result<()> {
        let Values::List(list) = &self.values else {
            return Err(Error::failed(format_args!(
                "[train] loss.{key} is \"balanced\", which needs the training images, \
                 and they are not known here"
            )));
        };
        if list.len() != classes {
            return Err(Error::usage(format_args!(
                "[train] loss.{key} has {} values, but there are {classes} classes",
                list.len()
            )));
        }
        let tensor = Tensor::f_from_slice(list)
            .and_then(|t| t.f_to_kind(Kind::Float))
            .and_then(|t| t.f_to_device(device));
        let tensor = tensor
            .map_err(|e| torch_error(&e).within(format_args!("[train] loss.{key}")));
        self.tensor = Some(tensor?);
        Ok(())
    }

    /// The uploaded numbers, `[classes]` float32.
    pub(super) fn tensor(&self) -> Option<&Tensor> {
        self.tensor.as_ref()
    }

    /// Whether the numbers have yet to be computed from the training images.
    pub(super) fn is_balanced(&self) -> bool {
        matches!(self.values, Values::Rule(Rule::Balanced))
    }

    /// Whether a class has weight 0.
    pub(super) fn has_zero(&self) -> bool {
        matches!(&self.values, Values::List(list) if list.contains(&0.0))
    }

    /// For `"balanced"`, scikit-learn's `compute_class_weight("balanced")`: `images /
    /// (classes * images of the class)`. `None` if the numbers are given.
    ///
    /// A class without images is not counted, and its weight is 1. It only matters for an
    /// evaluation's loss.
    pub(super) fn balanced(&self, counts: &[(String, u64)]) -> Option<Vec<f64>> {
        if let Values::List(_) = self.values {
            return None;
        }
        let images: u64 = counts.iter().map(|(_, count)| count).sum();
        let classes = counts.iter().filter(|(_, count)| *count > 0).count();
        let share = images as f64 / classes as f64;
        let weight = |&(_, count): &(String, u64)| match count {
            0 => 1.0,
            count => share / count as f64,
        };
        Some(counts.iter().map(weight).collect())
    }
}
