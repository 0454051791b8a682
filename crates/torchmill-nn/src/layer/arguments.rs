//! What the arguments of several layers have in common.

use serde::{Deserialize, Serialize};
use torchmill::{Error, Result};

/// One number for height and width, or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or two: [height, width]")]
pub(crate) enum Pair {
    /// The same for height and width.
    Both(i64),
    /// Height, then width.
    Each([i64; 2]),
}

impl Pair {
    /// `[height, width]`.
    pub(crate) fn get(self) -> [i64; 2] {
        match self {
            Self::Both(n) => [n, n],
            Self::Each(pair) => pair,
        }
    }

    /// The default of `stride` and `dilation`.
    pub(super) fn one() -> Self {
        Self::Both(1)
    }

    /// The default of `padding`.
    pub(super) fn zero() -> Self {
        Self::Both(0)
    }
}

/// The default of arguments such as `bias`.
pub(super) fn yes() -> bool {
    true
}

/// torch.nn's `inplace`. It is read and ignored: torchmill decides by itself.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Inplace(bool);

impl Inplace {
    /// For `skip_serializing_if`.
    pub(super) fn is_ignored(&self) -> bool {
        true
    }
}

/// The default `eps` of normalisation.
pub(super) fn epsilon() -> f64 {
    1e-5
}

/// A size that the recipe may give, and which the input decides: `in_channels`.
pub(super) fn agreed(argument: &str, given: Option<i64>, actual: i64) -> Result<i64> {
    match given {
        Some(n) if n != actual => {
            Err(Error::usage(format_args!("{argument} is {n}, but it gets {actual}")))
        }
        _ => Ok(actual),
    }
}

/// A size of at least 1. The upper bound keeps a mistyped one from taking all memory.
pub(super) fn positive(argument: &str, n: i64) -> Result<i64> {
    if (1..=1 << 24).contains(&n) {
        Ok(n)
    } else {
        Err(Error::usage(format_args!("{argument} = {n} is out of range")))
    }
}

/// `agreed` and `positive` for both numbers of a pair.
pub(super) fn positive_pair(argument: &str, pair: Pair) -> Result<[i64; 2]> {
    let [height, width] = pair.get();
    Ok([positive(argument, height)?, positive(argument, width)?])
}

/// Pixels of padding: 0 or more.
pub(super) fn padding(pair: Pair) -> Result<[i64; 2]> {
    let padding = pair.get();
    if padding.iter().all(|n| (0..=1 << 24).contains(n)) {
        Ok(padding)
    } else {
        Err(Error::usage("padding must be 0 to 16777216"))
    }
}

/// A dimension that a layer works on. The batch's, in which images must not mix, is an
/// error. `dims` is how many the input has, the batch's included.
pub(super) fn not_the_batch(argument: &str, dim: i64, dims: usize) -> Result<i64> {
    if dim == 0 || dim == -(dims as i64) {
        return Err(Error::usage(format_args!(
            "{argument} = {dim} is the batch's dimension, in which images must not mix: \
             the first of an image is 1"
        )));
    }
    Ok(dim)
}
