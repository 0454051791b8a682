//! A recipe's layers, with their classes and arguments checked.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use toml::{Table, Value};
use torchmill::recipe::{self, ARGS, Initialise};
use torchmill::suggest;

use super::field_names::field_names;
use super::{Arguments, CLASSES};
use crate::outputs::Outputs;

/// A layer class.
pub(super) struct Class {
    pub(super) name: &'static str,
    read: fn(Table) -> Result<CheckedArguments, String>,
}

impl Class {
    /// The class whose arguments are `A`.
    pub(super) const fn of<A>(name: &'static str) -> Self
    where
        A: Arguments + Serialize + DeserializeOwned + 'static,
    {
        Self { name, read: CheckedArguments::read::<A> }
    }
}

/// A layer's arguments, and the same as a table with all defaults filled in.
struct CheckedArguments {
    arguments: Box<dyn Arguments>,
    complete: Table,
}

impl CheckedArguments {
    fn read<A>(table: Table) -> Result<Self, String>
    where
        A: Arguments + Serialize + DeserializeOwned + 'static,
    {
        let table = name_arguments(table, field_names::<A>())?;
        let arguments: A =
            table.try_into().map_err(|e| suggest::in_message(e.message().trim_end()))?;
        let complete = Table::try_from(&arguments).map_err(|e| e.to_string())?;
        Ok(Self { arguments: Box::new(arguments), complete })
    }
}

/// A layer of a recipe whose class is known and whose arguments have valid types.
pub(super) struct CheckedLayer {
    pub(super) name: Option<String>,
    pub(super) initialise: Vec<Initialise>,
    pub(super) class: &'static str,
    arguments: CheckedArguments,
}

impl CheckedLayer {
    fn new(layer: recipe::Layer) -> Result<Self, String> {
        let class = find(&layer.class)?;
        let arguments = (class.read)(layer.arguments)?;
        Ok(Self {
            name: layer.name,
            initialise: layer.initialise,
            class: class.name,
            arguments,
        })
    }

    pub(super) fn arguments(&self) -> &dyn Arguments {
        self.arguments.arguments.as_ref()
    }

    /// The layer in recipe form, with every argument.
    fn complete(&self) -> recipe::Layer {
        recipe::Layer {
            name: self.name.clone(),
            initialise: self.initialise.clone(),
            class: self.class.to_owned(),
            arguments: self.arguments.complete.clone(),
        }
    }
}

/// Names the positional arguments, `args`, after `names`, in order.
fn name_arguments(mut table: Table, names: &[&str]) -> Result<Table, String> {
    let Some(args) = table.remove(ARGS) else { return Ok(table) };
    let Value::Array(mut values) = args else {
        return Err(format!("{ARGS} must be a list of arguments"));
    };
    // Sequential(ReLU(), Tanh()) has its layers as positional arguments.
    if names.first() == Some(&"layer") && values.first().is_some_and(Value::is_table) {
        values = vec![Value::Array(values)];
    }
    if values.len() > names.len() {
        return Err(format!(
            "{} arguments without a name, but there are only {}: {}",
            values.len(),
            names.len(),
            names.join(", ")
        ));
    }
    for (&name, value) in names.iter().zip(values) {
        if table.insert(name.to_owned(), value).is_some() {
            return Err(format!("`{name}` is given twice, with its name and without"));
        }
    }
    Ok(table)
}

fn find(name: &str) -> Result<&'static Class, String> {
    if let Some(class) = CLASSES.iter().find(|class| class.name == name) {
        return Ok(class);
    }
    let names: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
    Err(match suggest::nearest(name, names.iter().copied()) {
        Some(near) => format!("no layer is called `{name}` (did you mean {near}?)"),
        None => format!("no layer is called `{name}`: there are {}", names.join(", ")),
    })
}

/// A sequence of checked layers.
#[derive(Default, Deserialize)]
#[serde(try_from = "Vec<recipe::Layer>")]
pub(crate) struct CheckedLayers(Vec<CheckedLayer>);

impl TryFrom<Vec<recipe::Layer>> for CheckedLayers {
    type Error = String;

    /// The error names the layer that is wrong.
    fn try_from(layers: Vec<recipe::Layer>) -> Result<Self, String> {
        let mut checked = Vec::with_capacity(layers.len());
        for (index, layer) in layers.into_iter().enumerate() {
            let class = layer.class.clone();
            let place = match layer.name.as_deref() {
                None | Some("") => index.to_string(),
                Some(name) => name.to_owned(),
            };
            let layer = CheckedLayer::new(layer)
                .map_err(|why| format!("layer {place} ({class}): {why}"))?;
            checked.push(layer);
        }
        Ok(Self(checked))
    }
}

impl Serialize for CheckedLayers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.complete().serialize(serializer)
    }
}

impl CheckedLayers {
    pub(super) fn as_slice(&self) -> &[CheckedLayer] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keep_shape(&self) -> bool {
        self.0.iter().all(|layer| layer.arguments().keeps_shape())
    }

    /// What the last layer's outputs are.
    pub(crate) fn outputs(&self) -> Outputs {
        Outputs::of_last(self.0.iter().map(|layer| layer.arguments().outputs()))
    }

    /// The layers in recipe form, with every argument.
    pub(crate) fn complete(&self) -> Vec<recipe::Layer> {
        self.0.iter().map(CheckedLayer::complete).collect()
    }
}
