//! `[train] sampler`: which training images an epoch uses.

use serde::{Deserialize, Serialize};

use super::refuse;
use crate::Result;

/// Replaces shuffling the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Sampler {
    /// torch.utils.data.WeightedRandomSampler, with replacement: the probability of each
    /// image is proportional to the weight of its class.
    WeightedRandomSampler {
        /// A weight for each class, or `"balanced"`.
        weights: SamplerWeights,
        /// The number of images that an epoch draws; all if it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        num_samples: Option<usize>,
    },
}

/// WeightedRandomSampler's weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list with a number for each class, or \"balanced\""
)]
pub enum SamplerWeights {
    /// One for each class.
    List(Vec<f64>),
    /// The name of a rule.
    Rule(SamplerRule),
}

/// A rule that gives each class a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerRule {
    /// One over the number of the class's images: all classes are drawn equally often.
    Balanced,
}

impl Sampler {
    /// Rejects values out of range.
    pub(super) fn check(&self) -> Result<()> {
        let Self::WeightedRandomSampler { weights, num_samples } = self;
        if *num_samples == Some(0) {
            return refuse("sampler.num_samples", "must be at least 1");
        }
        let SamplerWeights::List(list) = weights else { return Ok(()) };
        let are_valid = list.iter().all(|w| w.is_finite() && *w >= 0.0);
        if are_valid && list.iter().any(|w| *w > 0.0) {
            return Ok(());
        }
        refuse(
            "sampler.weights",
            "must be numbers from 0 up, one for each class, not all 0",
        )
    }

    /// The number of images that an epoch draws out of this many.
    pub fn samples(&self, images: usize) -> usize {
        let Self::WeightedRandomSampler { num_samples, .. } = self;
        num_samples.unwrap_or(images)
    }
}
