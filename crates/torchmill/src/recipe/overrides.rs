//! `--set train.optimizer.lr=0.1`: replaces any value of a recipe by its dotted path.

use toml::{Table, Value};

use super::Recipe;
use crate::{Error, Result, suggest};

impl Recipe {
    /// The recipe with these `PATH=VALUE`s set, in order. A value is TOML; anything else
    /// is text, so that quotes can be left out. Layers are numbered:
    /// `model.layer.0.out_channels`.
    ///
    /// A new `type` (of a loss, say) starts from that type's own defaults.
    pub fn with(&self, settings: &[String]) -> Result<Self> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        let table = Table::try_from(self);
        let mut recipe = Value::Table(
            table.map_err(|e| Error::failed(format_args!("the recipe: {e}")))?,
        );
        // The settings since the table was last a valid recipe: an argument that a new
        // type requires may come later.
        let mut blamed: Vec<&str> = Vec::new();
        let mut parsed: Result<Self, toml::de::Error> = Ok(self.clone());
        for setting in settings {
            set(&mut recipe, setting)?;
            parsed = recipe.clone().try_into();
            match parsed {
                Ok(_) => blamed.clear(),
                Err(_) => blamed.push(setting),
            }
        }
        let recipe = parsed.map_err(|e| {
            let message = suggest::in_message(e.message().trim_end());
            wrong(&blamed.join(" "), &message)
        })?;
        recipe
            .check()
            .map_err(|e| e.within(format_args!("--set {}", settings.join(" "))))?;
        Ok(recipe)
    }
}

/// Sets one value; an error names the setting.
fn set(recipe: &mut Value, setting: &str) -> Result<()> {
    let Some((path, value)) = setting.split_once('=') else {
        let what = "expected KEY=VALUE, such as train.optimizer.lr=0.1";
        return Err(wrong(setting, what));
    };
    let parts: Vec<&str> = path.trim().split('.').collect();
    put(recipe, &parts, parse(value.trim())).map_err(|what| wrong(setting, &what))
}

fn wrong(settings: &str, what: &str) -> Error {
    Error::usage(format_args!("--set {settings}: {what}"))
}

/// Parses a value as TOML, or else takes it as text.
fn parse(text: &str) -> Value {
    let document: Result<Table, _> = format!("value = {text}").parse();
    match document.map(|mut table| (table.len(), table.remove("value"))) {
        Ok((1, Some(value))) => value,
        _ => Value::String(text.to_owned()),
    }
}

/// Sets the value at the path; an error says which part of the path does not exist.
fn put(at: &mut Value, path: &[&str], value: Value) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else {
        *at = value;
        return Ok(());
    };
    match at {
        Value::Table(table)
            if rest.is_empty() && *key == "type" && table.get("type") != Some(&value) =>
        {
            *table = Table::from_iter([("type".to_owned(), value)]);
            Ok(())
        }
        Value::Table(table) => {
            // A missing value is created here; if there is no such key, reading the
            // recipe reports it.
            let inner = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            put(inner, rest, value)
        }
        Value::Array(items) => {
            let count = items.len();
            let item = key.parse().ok().and_then(|i: usize| items.get_mut(i));
            let item = item.ok_or_else(|| {
                format!("`{key}` is not from 0 to {}", count.saturating_sub(1))
            })?;
            put(item, rest, value)
        }
        _ => Err(format!("there is no `{key}` in a single value")),
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::{Typed, load};

    fn set(settings: &[&str]) -> Result<crate::recipe::Recipe, String> {
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
        load("article").unwrap().with(&settings).map_err(|e| e.to_string())
    }

    #[test]
    fn values_are_set_by_their_path() {
        let recipe = set(&[
            "train.optimizer.lr=0.5",
            "train.optimizer.momentum = 0.9",
            "name=mine",
        ])
        .unwrap();
        let optimizer = &recipe.train.optimizer;
        assert_eq!(optimizer.arguments["lr"].as_float(), Some(0.5));
        assert_eq!(optimizer.arguments["momentum"].as_float(), Some(0.9));
        assert_eq!(recipe.name, "mine");
        let recipe =
            set(&["train.early_stopping.patience=7", "checkpoints.best=test loss"])
                .unwrap();
        assert_eq!(recipe.train.early_stopping.unwrap().patience, 7);
        assert_eq!(recipe.checkpoints.best.as_deref(), Some("test loss"));
        let before = load("article").unwrap();
        let recipe = set(&["model.layer.0.out_channels=16"]).unwrap();
        assert_eq!(recipe.model.layers[1..], before.model.layers[1..]);
        assert_ne!(recipe.model.layers[0], before.model.layers[0]);
        assert_eq!(set(&[]).unwrap(), before);
    }

    #[test]
    fn another_type_has_its_own_defaults() {
        let recipe =
            set(&["train.optimizer.type=AdamW", "train.optimizer.lr=0.01"]).unwrap();
        // No argument of SGD is left.
        assert_eq!(recipe.train.optimizer, Typed::new("AdamW").with("lr", 0.01));
        let recipe =
            set(&["train.loss={ type = \"CrossEntropyLoss\", label_smoothing = 0.1 }"])
                .unwrap();
        let expected = Typed::new("CrossEntropyLoss").with("label_smoothing", 0.1);
        assert_eq!(recipe.train.loss, expected);
        // StepLR requires step_size, which comes next.
        set(&["train.schedule.type=StepLR", "train.schedule.step_size=3"]).unwrap();
        let error = set(&["train.schedule.type=StepLR"]).unwrap_err();
        assert!(error.contains("missing field `step_size`"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (setting, message) in [
            ("train.epoch=3", "--set train.epoch=3: unknown field `epoch`"),
            ("train.epoch=3", "(did you mean epochs?)"),
            ("train.epochs", "expected KEY=VALUE"),
            (
                "train.epochs=many",
                "--set train.epochs=many: invalid type: string \"many\"",
            ),
            ("train.epochs.x=1", "there is no `x` in a single value"),
            ("model.layer.99.type=ReLU", "`99` is not from 0 to 8"),
            ("train.epochs=many", "expected a whole number of at least 0"),
            (
                "train.optimizer=SGD",
                "--set train.optimizer=SGD: invalid type: string \"SGD\", expected a \
                 table",
            ),
            ("train.batch_size=0", "batch_size must be at least 1"),
            ("trian.epochs=1", "unknown field `trian`"),
        ] {
            let error = set(&[setting]).unwrap_err();
            assert!(error.contains(message), "{setting}: {error}");
        }
    }
}
