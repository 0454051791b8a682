//! `[run]` of a run's config.toml: what `train` records about the run itself. Recipes
//! that people write have no such table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Setting;

/// `[run]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunRecord {
    /// The class names; output `i` of the network is class `i`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The checkpoint of another run that this one continues from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branched_from: Option<PathBuf>,
    /// The number of epochs that were done there.
    #[serde(skip_serializing_if = "is_zero")]
    pub branched_after_epoch: u64,
    /// The settings that were changed when the run was resumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierValue>,
}

/// A setting's value before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierValue {
    /// The setting's dotted name, such as `train.optimizer.lr`.
    pub key: String,
    /// Its value, as text; empty if it was not set.
    pub value: String,
    /// The last epoch that was completed with it.
    pub until_epoch: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl RunRecord {
    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Records the settings that differ from the previous ones, with which `until_epoch`
    /// epochs were completed.
    pub fn note_changes(
        &mut self,
        before: &BTreeMap<String, Setting>,
        now: &BTreeMap<String, Setting>,
        until_epoch: u64,
    ) {
        let keys =
            before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
        for key in keys.filter(|key| decides_training(key)) {
            let text = |settings: &BTreeMap<String, Setting>| {
                settings.get(key).map(ToString::to_string).unwrap_or_default()
            };
            let value = text(before);
            let new = text(now);
            // Changed twice without an epoch in between: the first value counts.
            let again = self
                .earlier
                .iter()
                .position(|e| e.key == *key && e.until_epoch == until_epoch);
            match again {
                Some(at) if self.earlier[at].value == new => {
                    self.earlier.remove(at);
                }
                None if value != new => {
                    self.earlier.push(EarlierValue {
                        key: key.clone(),
                        value,
                        until_epoch,
                    });
                }
                _ => {}
            }
        }
    }
}

/// Whether a setting affects the training itself, not only its length.
fn decides_training(key: &str) -> bool {
    const HOW_LONG: [&str; 4] =
        ["train.epochs", "train.steps", "train.eval_every", "train.limit_eval_batches"];
    key.starts_with("train.")
        && !HOW_LONG.contains(&key)
        && !key.starts_with("train.early_stopping.")
}

/// Puts the history of changed settings into their values, `0.1 until epoch 2, then
/// 0.01`, and removes `[run]`: the remaining settings are those by which runs are
/// compared.
pub(super) fn fold_into(settings: &mut BTreeMap<String, Setting>, record: &RunRecord) {
    settings.retain(|key, _| !key.starts_with("run."));
    let mut by_key: BTreeMap<&str, Vec<&EarlierValue>> = BTreeMap::new();
    for earlier in &record.earlier {
        by_key.entry(&earlier.key).or_default().push(earlier);
    }
    for (key, mut history) in by_key {
        history.sort_by_key(|earlier| earlier.until_epoch);
        let mut text = String::new();
        for earlier in history {
            let value = if earlier.value.is_empty() { "not set" } else { &earlier.value };
            text += &format!("{value} until epoch {}, then ", earlier.until_epoch);
        }
        match settings.get(key) {
            Some(now) => text += &now.to_string(),
            None => text += "not set",
        }
        settings.insert(key.to_owned(), Setting::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::settings;

    #[test]
    fn a_changed_setting_shows_its_history() {
        let config = |lr: f64, epochs: u64, run: &str| {
            format!(
                "name = 'a'\n[train]\nepochs = {epochs}\n[train.optimizer]\n\
                 type = 'SGD'\nlr = {lr:?}\n{run}"
            )
        };
        let first = settings(&config(0.1, 2, "")).unwrap();
        let second = settings(&config(0.01, 4, "")).unwrap();
        let mut record = RunRecord::default();
        record.note_changes(&first, &second, 2);
        assert_eq!(
            record.earlier,
            [EarlierValue {
                key: "train.optimizer.lr".into(),
                value: "0.1".into(),
                until_epoch: 2
            }]
        );
        #[derive(Serialize)]
        struct Table<'a> {
            run: &'a RunRecord,
        }
        let run = toml::to_string(&Table { run: &record }).unwrap();
        let shown = settings(&config(0.01, 4, &run)).unwrap();
        assert_eq!(
            shown["train.optimizer.lr"].to_string(),
            "0.1 until epoch 2, then 0.01"
        );
        assert!(shown.keys().all(|key| !key.starts_with("run.")), "{shown:?}");
        // Changed back before another epoch was completed.
        record.note_changes(&second, &first, 2);
        assert!(record.is_empty());
    }
}
