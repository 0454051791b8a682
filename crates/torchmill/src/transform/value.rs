//! The literals of pipeline text, as values.

use std::fmt;

/// A literal or a transform, as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `True`, `False`.
    Bool(bool),
    /// `None`.
    None,
    /// `32`.
    Int(i64),
    /// `0.5`, `1e-3`, `3/4`: finite.
    Float(f64),
    /// `"reflect"`.
    Text(String),
    /// `(1, 2)` or `[1, 2]`.
    List(Vec<Item>),
    /// `Resize(32)`, or a bare name such as `ToTensor` or `auto`; prefixes
    /// (`transforms.v2.`) are dropped.
    Call(Call),
    /// A whole pipeline, in the canonical text of RandomApply and RandomChoice.
    Pipeline(super::Pipeline),
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub value: Value,
    /// Where it starts, in characters from 0; meaningless in a value that was not parsed.
    pub at: usize,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self { value, at: 0 }
    }
}

/// A name with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub name: String,
    pub at: usize,
    /// Whether there were parentheses.
    pub called: bool,
    pub arguments: Vec<Given>,
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    /// `padding` in `padding=4`, and where it stands.
    pub name: Option<(String, usize)>,
    pub item: Item,
}

impl Value {
    /// A tuple of these.
    pub(super) fn tuple<T: Into<Self>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::List(values.into_iter().map(|v| Item::from(v.into())).collect())
    }

    /// A bare name.
    pub(super) fn name(name: &str) -> Self {
        Self::Call(Call {
            name: name.to_owned(),
            at: 0,
            called: false,
            arguments: Vec::new(),
        })
    }

    /// What a message calls it.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Call(call) if call.called => format!("{}(...)", call.name),
            Self::Pipeline(_) => "a transform".to_owned(),
            other => other.to_string(),
        }
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        i64::try_from(n).map_or(Self::Float(n as f64), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Self::Float(x)
    }
}

/// The shortest decimal that reads back as the same float32, which is how a float32
/// should look in a text.
impl From<f32> for Value {
    fn from(x: f32) -> Self {
        Self::Float(x.to_string().parse().unwrap_or(f64::from(x)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::None => f.write_str("None"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::List(items) => write_list(f, items),
            Self::Call(call) => f.write_str(&call.name),
            Self::Pipeline(pipeline) => write!(f, "{}", pipeline.nested()),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Item]) -> fmt::Result {
    // Transforms stand in a list and numbers in a tuple, as in Python code by custom.
    let list = items.iter().any(|i| matches!(i.value, Value::Pipeline(_)));
    let (open, close) = if list { ("[", "]") } else { ("(", ")") };
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{}", item.value)?;
    }
    if items.len() == 1 && !list {
        f.write_str(",")?;
    }
    f.write_str(close)
}
