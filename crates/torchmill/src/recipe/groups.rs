//! `[[train.group]]` and `no_decay`: parameters with a learning rate or weight decay of their own.

use serde::{Deserialize, Serialize};

use super::training::refuse;
use crate::Result;

/// `[[train.group]]`: what differs for the parameters whose names the pattern matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Names of the state dict, see [`matches`].
    pub pattern: String,
    /// Instead of the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Instead of the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// What weights do not decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoDecay {
    /// Parameters called `bias`.
    Bias,
    /// Weights of one dimension, as BatchNorm2d's and GroupNorm's, and the biases beside them.
    Norm,
}

impl Group {
    /// Values out of range are usage errors.
    pub(super) fn check(&self) -> Result<()> {
        if [self.lr, self.weight_decay].into_iter().flatten().all(|x| x.is_finite() && x >= 0.0) {
            return Ok(());
        }
        refuse("group", "lr and weight_decay must be numbers from 0 up")
    }
}

/// Whether a pattern matches a name of the state dict. `*` stands for any characters; a pattern without one is a
/// name, or the module that holds the name: `10` matches `10.weight`.
pub fn matches(pattern: &str, name: &str) -> bool {
    if !pattern.contains('*') {
        let rest = name.strip_prefix(pattern);
        return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_and_modules() {
        for (pattern, name) in [
            ("10", "10.weight"),
            ("fc.bias", "fc.bias"),
            ("*", "x"),
            ("layer*.bn*.weight", "layer1.0.bn2.weight"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("1", "10.weight"), ("*.bias", "0.weight"), ("a*a", "a"), ("b*", "ab"), ("*a", "ab")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
