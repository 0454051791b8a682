//! Argument types, defaults and checks that several layers share.

use serde::{Deserialize, Serialize};
use torchmill::{Error, Result};

/// One number for both height and width, or one for each.
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

/// torch.nn's `inplace`. It is accepted and ignored: torchmill decides by itself.
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

/// Resolves a size that the input determines, such as `in_channels`. If the recipe gives
/// it, it must match.
pub(super) fn agreed(argument: &str, given: Option<i64>, actual: i64) -> Result<i64> {
    match given {
        Some(n) if n != actual => {
            Err(Error::usage(format_args!("{argument} is {n}, but it gets {actual}")))
        }
        _ => Ok(actual),
    }
}

/// Checks that a size is at least 1. The upper bound keeps a mistyped size from using up
/// all memory.
pub(super) fn positive(argument: &str, n: i64) -> Result<i64> {
    if (1..=1 << 24).contains(&n) {
        Ok(n)
    } else {
        Err(Error::usage(format_args!("{argument} = {n} is out of range")))
    }
}

/// [`positive`] for both numbers of a pair.
pub(super) fn positive_pair(argument: &str, pair: Pair) -> Result<[i64; 2]> {
    let [height, width] = pair.get();
    Ok([positive(argument, height)?, positive(argument, width)?])
}

/// Checks that the padding is at least 0, in pixels.
pub(super) fn padding(pair: Pair) -> Result<[i64; 2]> {
    let padding = pair.get();
    if padding.iter().all(|n| (0..=1 << 24).contains(n)) {
        Ok(padding)
    } else {
        Err(Error::usage("padding must be 0 to 16777216"))
    }
}

/// Checks the dimension that a layer works on, of `dims` including the batch's. The batch
/// dimension is an error, because images must not mix.
pub(super) fn not_the_batch(argument: &str, dim: i64, dims: usize) -> Result<i64> {
    if dim == 0 || dim == -(dims as i64) {
        return Err(Error::usage(format_args!(
            "{argument} = {dim} is the batch's dimension, in which images must not mix: \
             the first of an image is 1"
        )));
    }
    Ok(dim)
}
