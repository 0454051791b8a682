//! A run's hyperparameters: the config.toml beside its metrics.csv, flattened for TensorBoard's HPARAMS page.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use toml::{Table, Value};
use torchmill::progress::note;

use crate::event::proto::{HParam, HParamKind};
use crate::input::source::Source;

/// Longer texts are cut: they become a column of a table.
const LONGEST_TEXT: usize = 200;

/// The hyperparameters that belong to an input; none where there is no config.toml. One that cannot be read is
/// no reason not to convert the metrics: it is named, and left out.
pub fn beside(source: &Source) -> BTreeMap<String, HParam> {
    let Source::File(csv) = source else { return BTreeMap::new() };
    let path = csv.with_file_name("config.toml");
    match read(&path) {
        Ok(hparams) => hparams,
        Err(why) => {
            note(format_args!("{}: {why}; no hyperparameters are shown", path.display()));
            BTreeMap::new()
        }
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, HParam>, String> {
    let text = match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(format!("cannot be read: {e}")),
        Ok(text) => text,
    };
    let table: Table = text.parse().map_err(|e: toml::de::Error| e.message().to_owned())?;
    let mut hparams = BTreeMap::new();
    flatten(&table, "", &mut hparams);
    Ok(hparams)
}

/// `[train] lr = 0.1` becomes `train.lr`. A list is one text: as many columns as it has elements would help
/// nobody compare runs.
fn flatten(table: &Table, prefix: &str, out: &mut BTreeMap<String, HParam>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        let kind = match value {
            Value::Table(inner) => {
                flatten(inner, &format!("{name}."), out);
                continue;
            }
            Value::Integer(n) => HParamKind::Number(*n as f64),
            Value::Float(n) if n.is_finite() => HParamKind::Number(*n),
            Value::Boolean(b) => HParamKind::Bool(*b),
            Value::String(text) => HParamKind::Text(cut(text)),
            Value::Array(_) | Value::Float(_) | Value::Datetime(_) => HParamKind::Text(cut(&short(value))),
        };
        out.insert(name, HParam { kind: Some(kind) });
    }
}

/// A value in one line. A layer (a table with a `type`) reads like a call: `Conv2d(out_channels=32)`.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        Value::Table(table) => {
            let head = table.get("type").map(short).unwrap_or_default();
            let arguments = table.iter().filter(|(key, _)| *key != "type");
            let arguments: Vec<_> = arguments.map(|(key, value)| format!("{key}={}", short(value))).collect();
            if arguments.is_empty() { head } else { format!("{head}({})", arguments.join(", ")) }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
    }
}

fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_TEXT) {
        Some((at, _)) => format!("{}\u{2026}", &line[..at]),
        None => line,
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
        let mut hparams = BTreeMap::new();
        flatten(&text.parse().unwrap(), "", &mut hparams);
        let text = |t: &str| Some(HParamKind::Text(t.into()));
        let expected = [
            ("model.layer", text("Conv2d(out_channels=32), Flatten")),
            ("name", text("article")),
            ("train.epochs", Some(HParamKind::Number(10.0))),
            ("train.lr", Some(HParamKind::Number(0.01))),
            ("train.optimizer.type", text("SGD")),
            ("train.shuffle", Some(HParamKind::Bool(true))),
            ("train.steps", text("1, 2")),
        ];
        let expected = expected.map(|(name, kind)| (name.to_owned(), HParam { kind }));
        assert_eq!(hparams, expected.into());
    }

    #[test]
    fn a_bad_recipe_is_told_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(read(&path), Ok(BTreeMap::new()));
        fs::write(&path, "lr = ").unwrap();
        assert!(read(&path).is_err());
        assert_eq!(cut(&"\u{e9} ".repeat(300)).chars().count(), LONGEST_TEXT + 1);
    }
}
