//! A run's hyperparameters for TensorBoard's HPARAMS page: the config.toml next to its
//! metrics.csv, as dotted names and values.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use torchmill::progress::note;
use torchmill::recipe::{Setting, settings};
use torchmill::run::CONFIG;
use torchmill::text_file;

use crate::event::proto::{HParam, HParamKind};
use crate::input::source::Source;

/// Longer texts are cut, because they become a column of a table.
const LONGEST_TEXT: usize = 200;

/// The hyperparameters of an input; none if there is no config.toml. If it cannot be
/// read, a note says so, and the metrics are still converted.
pub fn of_input(source: &Source) -> BTreeMap<String, HParam> {
    let Source::File(csv) = source else { return BTreeMap::new() };
    let path = csv.with_file_name(CONFIG);
    match read(&path) {
        Ok(hparams) => hparams,
        Err(why) => {
            note(format_args!("{}: {why}; no hyperparameters are shown", path.display()));
            BTreeMap::new()
        }
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, HParam>, String> {
    let text = match text_file::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(format!("cannot be read: {e}")),
        Ok(text) => text,
    };
    let settings = settings(&text).map_err(|e| e.to_string())?;
    let kind = |setting| match setting {
        Setting::Number(n) => HParamKind::Number(n),
        Setting::Bool(b) => HParamKind::Bool(b),
        Setting::Text(text) => HParamKind::Text(cut(&text)),
    };
    Ok(settings
        .into_iter()
        .map(|(name, setting)| (name, HParam { kind: Some(kind(setting)) }))
        .collect())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        // TensorBoard's page shows the ellipsis character as its code.
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_recipe_is_told_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(read(&path), Ok(BTreeMap::new()));
        std::fs::write(&path, "name = 'x'\n[train]\nlr = 0.01\nshuffle = true\n")
            .unwrap();
        let hparams = read(&path).unwrap();
        assert_eq!(hparams["name"].kind, Some(HParamKind::Text("x".into())));
        assert_eq!(hparams["train.lr"].kind, Some(HParamKind::Number(0.01)));
        assert_eq!(hparams["train.shuffle"].kind, Some(HParamKind::Bool(true)));
        std::fs::write(&path, "lr = ").unwrap();
        assert!(read(&path).is_err());
        assert_eq!(cut(&"\u{e9} ".repeat(300)).chars().count(), LONGEST_TEXT + 3);
    }
}
