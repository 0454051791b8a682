//! A table of the recipe that names a type and gives its arguments, such as
//! `{ type = "SGD", lr = 0.1 }`.
//!
//! The recipe keeps the arguments as TOML. The table of types has a row for each type,
//! whose `serde` struct has the arguments' names and defaults; so adding a type does not
//! change the recipe.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Error, Result, suggest};

/// A type's name and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Typed {
    /// The name of the type.
    #[serde(rename = "type")]
    pub name: String,
    /// The arguments that are set, by name.
    #[serde(flatten)]
    pub arguments: Table,
}

impl Typed {
    /// A type with its default arguments.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), arguments: Table::new() }
    }

    /// The same type with one argument set.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Sets an argument.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.arguments.insert(key.to_owned(), value.into());
    }

    /// Reads the arguments, and returns them with the same table in which every default
    /// is written out. An unknown, missing or mistyped argument is a usage error that
    /// names the recipe's table, such as `[train.optimizer]`.
    pub fn read<T>(&self, table: &str) -> Result<(T, Self)>
    where
        T: DeserializeOwned + Serialize,
    {
        let arguments = Value::Table(self.arguments.clone());
        let read: T = arguments.try_into().map_err(|e: toml::de::Error| {
            // The key that toml adds on lines of its own is part of the place.
            let message = e.message().trim_end().to_owned();
            let key = mistyped_key(&e);
            Error::usage(format_args!(
                "[{table}] {}: {key}{}",
                self.name,
                suggest::in_message(&message)
            ))
        })?;
        let arguments = Table::try_from(&read)
            .map_err(|e| Error::usage(format_args!("[{table}] {}: {e}", self.name)))?;
        Ok((read, Self { name: self.name.clone(), arguments }))
    }

    /// The error for a name that is not among the known types.
    pub fn unknown<'a>(
        &self,
        table: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Error {
        let hint = suggest::did_you_mean(&self.name, known.clone());
        let known: Vec<&str> = known.collect();
        Error::usage(format_args!(
            "[{table}] there is no type `{}`: there are {}{hint}",
            self.name,
            known.join(", ")
        ))
    }
}

/// `KEY: ` if an error is about the value of one argument.
fn mistyped_key(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let key = text.lines().find_map(|line| line.strip_prefix("in `"));
    key.map_or_else(String::new, |key| format!("{}: ", key.trim_end_matches('`')))
}

/// How a row of a table of types reads a type's arguments, as [`Typed::read`] does.
pub type ReadType<T> = fn(&Typed) -> Result<(Box<T>, Typed)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Arguments {
        lr: f64,
        nesterov: bool,
    }

    impl Default for Arguments {
        fn default() -> Self {
            Self { lr: 0.1, nesterov: false }
        }
    }

    fn read(text: &str) -> Result<(Arguments, Typed)> {
        let typed: Typed = toml::from_str(text).unwrap();
        typed.read("train.optimizer")
    }

    #[test]
    fn defaults_are_written_out() {
        let (arguments, typed) = read("type = \"SGD\"\nlr = 2\n").unwrap();
        assert_eq!(arguments, Arguments { lr: 2.0, nesterov: false });
        let text = toml::to_string(&typed).unwrap();
        assert_eq!(text, "type = \"SGD\"\nlr = 2.0\nnesterov = false\n");
        assert_eq!(toml::from_str::<Typed>(&text).unwrap(), typed);
        let json = serde_json::to_string(&typed).unwrap();
        assert_eq!(json, r#"{"type":"SGD","lr":2.0,"nesterov":false}"#);
        assert_eq!(serde_json::from_str::<Typed>(&json).unwrap(), typed);
    }

    #[test]
    fn wrong_arguments_are_usage_errors_that_name_them() {
        let error = read("type = \"SGD\"\nnestrov = true\n").unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert_eq!(
            error.to_string(),
            "[train.optimizer] SGD: unknown field `nestrov`, expected `lr` or `nesterov` \
             (did you mean nesterov?)"
        );
        let error = read("type = \"SGD\"\nlr = \"fast\"\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "[train.optimizer] SGD: lr: invalid type: string \"fast\", expected a number"
        );
        let unknown = Typed::new("SDG").unknown("train.optimizer", ["SGD"].into_iter());
        assert_eq!(
            unknown.to_string(),
            "[train.optimizer] there is no type `SDG`: there are SGD (did you mean SGD?)"
        );
    }
}
