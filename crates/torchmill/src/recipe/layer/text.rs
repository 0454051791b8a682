//! A layer as text: `Conv2d(3, 32, 5, padding=2)`, as in PyTorch.

use toml::{Table, Value};

use super::{ARGS, Layer};
use crate::transform::literal::{Call, CallArgument, Literal};
use crate::transform::syntax;

/// Reads a layer's text.
pub(super) fn parse(text: &str) -> Result<Layer, String> {
    let mut calls = syntax::parse(text).map_err(|e| format!("`{text}`: {e}"))?;
    match (calls.pop(), calls.is_empty()) {
        (Some(call), true) => layer(call).map_err(|why| format!("`{text}`: {why}")),
        _ => Err(format!("`{text}` is not one layer, such as \"Conv2d(3, 32, 5)\"")),
    }
}

fn layer(call: Call) -> Result<Layer, String> {
    let mut positional = Vec::new();
    let mut table = Table::new();
    table.insert("type".to_owned(), Value::String(call.name));
    for CallArgument { name, item } in call.arguments {
        match name {
            None if table.len() > 1 => {
                return Err(
                    "an argument without a name follows one with a name".to_owned()
                );
            }
            None => {
                let value = value(item.literal)?;
                positional.push(value.ok_or("None needs the argument's name")?);
            }
            Some((name, _)) => insert(&mut table, name, item.literal)?,
        }
    }
    if !positional.is_empty() {
        table.insert(ARGS.to_owned(), Value::Array(positional));
    }
    Layer::try_from(Value::Table(table))
}

fn insert(table: &mut Table, name: String, literal: Literal) -> Result<(), String> {
    if table.contains_key(&name) {
        return Err(format!("`{name}` is given twice"));
    }
    // None means that the argument is left out.
    if let Some(value) = value(literal)? {
        table.insert(name, value);
    }
    Ok(())
}

/// The literal as TOML; `None` for Python's None.
fn value(literal: Literal) -> Result<Option<Value>, String> {
    Ok(Some(match literal {
        Literal::None => return Ok(None),
        Literal::Bool(b) => Value::Boolean(b),
        Literal::Int(n) => Value::Integer(n),
        Literal::Float(x) => Value::Float(x),
        Literal::Text(text) => Value::String(text),
        Literal::List(items) => {
            let mut values = Vec::new();
            for item in items {
                values.push(value(item.literal)?.ok_or("a list cannot hold None")?);
            }
            Value::Array(values)
        }
        Literal::Call(call) => layer(call)?.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_layer_of_that_table() {
        for (text, table) in [
            ("ReLU", "type = 'ReLU'"),
            ("nn.ReLU()", "type = 'ReLU'"),
            (
                "Conv2d(3, 32, (5, 3), padding=2, bias=False, padding_mode='reflect')",
                "type = 'Conv2d'\nargs = [3, 32, [5, 3]]\npadding = 2\nbias = false\n\
                 padding_mode = 'reflect'",
            ),
            ("MaxPool2d(2, stride=None)", "type = 'MaxPool2d'\nargs = [2]"),
            ("Linear(10, name='fc')", "type = 'Linear'\nargs = [10]\nname = 'fc'"),
            (
                "Sequential(Conv2d(8, 3), ReLU())",
                "type = 'Sequential'\nargs = [{type = 'Conv2d', args = [8, 3]}, \
                 {type = 'ReLU'}]",
            ),
        ] {
            assert_eq!(parse(text).unwrap(), toml::from_str(table).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("", "is not one layer"),
            ("ReLU | ReLU", "is not one layer"),
            ("Conv2d(3, 32", "this bracket is not closed"),
            ("Conv2d(out_channels=3, 5)", "an argument without a name follows"),
            ("Conv2d(3, bias=True, bias=False)", "`bias` is given twice"),
            ("MaxPool2d(2, None)", "None needs the argument's name"),
            ("Linear(10, name=3)", "name must be text"),
            ("Linear(10, type='ReLU')", "`type` is given twice"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
