//! A layer of a `[model]`, as a recipe gives it.
//!
//! Which layers there are and which arguments they take is torchmill-nn's: here they are
//! a name and a table, so that programs without libtorch can read recipes.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Initialise;

/// A layer: its class, arguments and name, and how its weights start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The name of its class, such as `Conv2d`.
    #[serde(rename = "type")]
    pub class: String,
    /// What it is called in the state dict in place of its index: `conv1` for
    /// `conv1.weight`. The empty name adds nothing: the layers within are called as if
    /// they stood where this one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the weights within start, where not by torch.nn's defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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

    /// With this value for an argument.
    #[must_use]
    pub fn with(mut self, argument: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(argument.to_owned(), value.into());
        self
    }

    /// With this name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// With these rules of initialisation.
    #[must_use]
    pub fn initialised(mut self, rules: Vec<Initialise>) -> Self {
        self.initialise = rules;
        self
    }
}

/// As it stands in a recipe, for layers within layers.
impl From<Layer> for Value {
    #[allow(clippy::expect_used, reason = "see the message")]
    fn from(layer: Layer) -> Self {
        Self::try_from(layer).expect("texts, numbers and tables are TOML")
    }
}
