//! TOML's integers end at 2^63 - 1. With a larger one, a run's config.toml could be written
//! and not be read as TOML again.

use serde_json::Value;

use super::Recipe;
use crate::{Error, Result};

/// Fails if a number of the recipe is too large for TOML.
pub(super) fn check(recipe: &Recipe) -> Result<()> {
    // A recipe that cannot be written, because of a path that is not UTF-8, is an error where
    // it is written.
    let Ok(recipe) = serde_json::to_value(recipe) else { return Ok(()) };
    match too_large(&recipe) {
        Some((key, number)) => Err(Error::usage(format_args!(
            "{key} = {number} is too large: integers in TOML are at most {}",
            i64::MAX
        ))),
        None => Ok(()),
    }
}

/// The first integer that is too large, with its dotted path.
fn too_large(value: &Value) -> Option<(String, u64)> {
    match value {
        Value::Number(number) => {
            let large = number.as_u64().filter(|&n| i64::try_from(n).is_err());
            large.map(|n| (String::new(), n))
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                if let Some((rest, number)) = too_large(field) {
                    let dot = if rest.is_empty() { "" } else { "." };
                    return Some((format!("{key}{dot}{rest}"), number));
                }
            }
            None
        }
        _ => None,
    }
}
