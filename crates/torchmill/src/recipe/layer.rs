//! A layer of a `[model]` in a recipe.
//!
//! Only torchmill-nn knows which layers exist and which arguments they have: here a layer
//! is a name and a table, so that programs without libtorch can read recipes.

mod text;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Initialise;
use crate::suggest;

/// The key of the arguments without a name: `Conv2d(3, 32, 5)` is
/// `{ type = "Conv2d", args = [3, 32, 5] }`.
pub const ARGS: &str = "args";

/// A layer: its class, arguments and name, and how its weights are initialised.
///
/// A recipe writes it as a table or as text, such as `"Conv2d(3, 32, 5, padding=2)"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Layer {
    /// The name of its class, such as `Conv2d`.
    #[serde(rename = "type")]
    pub class: String,
    /// Its name in the state dict instead of its index: `conv1` for `conv1.weight`. The
    /// empty name adds nothing: the layers within are named as if they were in this
    /// layer's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the weights within are initialised if not by torch.nn's defaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub initialise: Vec<Initialise>,
    /// Its arguments, as torch.nn calls them.
    #[serde(flatten)]
    pub arguments: Table,
}

impl Layer {
    /// A layer with torch.nn's defaults.
    pub fn new(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            name: None,
            initialise: Vec::new(),
            arguments: Table::new(),
        }
    }

    /// Sets an argument.
    #[must_use]
    pub fn with(mut self, argument: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(argument.to_owned(), value.into());
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the rules of initialisation.
    #[must_use]
    pub fn initialised(mut self, rules: Vec<Initialise>) -> Self {
        self.initialise = rules;
        self
    }
}

/// As a recipe writes it, for layers within layers.
impl From<Layer> for Value {
    #[allow(clippy::expect_used, reason = "see the message")]
    fn from(layer: Layer) -> Self {
        Self::try_from(layer).expect("texts, numbers and tables are TOML")
    }
}

impl TryFrom<Value> for Layer {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let mut table = match value {
            Value::String(text) => return text::parse(&text),
            Value::Table(table) => table,
            other => {
                return Err(format!(
                    "invalid type: {}, expected a layer: a table with its type, or text \
                     such as \"Conv2d(3, 32, 5)\"",
                    other.type_str()
                ));
            }
        };
        let class = take_text(&mut table, "type")?.ok_or("missing field `type`")?;
        let name = take_text(&mut table, "name")?;
        let mut initialise = Vec::new();
        if let Some(rules) = table.remove("initialise") {
            initialise = rules.try_into().map_err(|e: toml::de::Error| {
                suggest::in_message(e.message().trim_end())
            })?;
        }
        Ok(Self { class, name, initialise, arguments: table })
    }
}

fn take_text(table: &mut Table, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key} must be text, not {other}")),
    }
}
