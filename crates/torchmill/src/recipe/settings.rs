//! A run's config.toml as a flat table of settings, by which runs are compared.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use super::run_record::{self, RunRecord};
use crate::{Error, Result};

/// One setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// An integer, or a finite float.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Anything else, in one line.
    Text(String),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::Bool(b) => b.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The settings of a run's config.toml by their dotted names: `[train] seed = 1` becomes
/// `train.seed`. A list is one text: a column for each of its elements would not help to
/// compare runs. A setting that was changed during the run shows its history.
pub fn settings(text: &str) -> Result<BTreeMap<String, Setting>> {
    let table: Table =
        text.parse().map_err(|e: toml::de::Error| Error::usage(e.message()))?;
    let mut settings = BTreeMap::new();
    flatten(&table, "", &mut settings);
    if let Some(run) = table.get("run") {
        let record: RunRecord = run
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| Error::usage(e.message()))?;
        run_record::fold_into(&mut settings, &record);
    }
    Ok(settings)
}

fn flatten(table: &Table, prefix: &str, out: &mut BTreeMap<String, Setting>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        let setting = match value {
            Value::Table(inner) => {
                flatten(inner, &format!("{name}."), out);
                continue;
            }
            Value::Integer(n) => Setting::Number(*n as f64),
            Value::Float(n) if n.is_finite() => Setting::Number(*n),
            Value::Boolean(b) => Setting::Bool(*b),
            Value::String(_) | Value::Array(_) | Value::Float(_) | Value::Datetime(_) => {
                Setting::Text(
                    short(value).split_whitespace().collect::<Vec<_>>().join(" "),
                )
            }
        };
        out.insert(name, setting);
    }
}

/// A value in one line. A layer (a table with a `type`) reads like a call:
/// `Conv2d(out_channels=32)`.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        Value::Table(table) => {
            let head = table.get("type").map(short).unwrap_or_default();
            let arguments = table.iter().filter(|(key, _)| *key != "type");
            let arguments: Vec<_> =
                arguments.map(|(key, value)| format!("{key}={}", short(value))).collect();
            if arguments.is_empty() {
                head
            } else {
                format!("{head}({})", arguments.join(", "))
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_tables_become_dotted_names_and_lists_one_text() {
        let text = "name = 'article'\n[train]\nlr = 0.01\nepochs = 10\nshuffle = true\nsteps = [1, 2]\n\
                    [train.optimizer]\ntype = 'SGD'\n\
                    [[model.layer]]\ntype = 'Conv2d'\nout_channels = 32\n[[model.layer]]\ntype = 'Flatten'\n";
        let text_of = |t: &str| Setting::Text(t.into());
        let expected = [
            ("model.layer", text_of("Conv2d(out_channels=32), Flatten")),
            ("name", text_of("article")),
            ("train.epochs", Setting::Number(10.0)),
            ("train.lr", Setting::Number(0.01)),
            ("train.optimizer.type", text_of("SGD")),
            ("train.shuffle", Setting::Bool(true)),
            ("train.steps", text_of("1, 2")),
        ];
        let expected: BTreeMap<_, _> =
            expected.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(settings(text).unwrap(), expected);
        assert!(settings("lr = ").is_err());
        assert_eq!(Setting::Number(64.0).to_string(), "64");
    }
}
