//! The literals and calls of pipeline text.

use std::fmt;

/// A literal or a transform, as written.
#[derive(Debug, Clone)]
pub(crate) enum Literal {
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
    /// `Resize(32)`, or a name without parentheses such as `ToTensor` or `auto`. Modules
    /// before the name (`transforms.v2.`) are dropped.
    Call(Call),
}

/// A literal and its position in the text.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub literal: Literal,
    /// The number of characters before it; 0 in a literal that was not parsed.
    pub offset: usize,
}

impl From<Literal> for Item {
    fn from(literal: Literal) -> Self {
        Self { literal, offset: 0 }
    }
}

/// A name with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub name: String,
    /// The number of characters before the name; 0 in a call that was not parsed.
    pub offset: usize,
    pub has_parentheses: bool,
    pub arguments: Vec<CallArgument>,
}

/// One argument of a call.
#[derive(Debug, Clone)]
pub(crate) struct CallArgument {
    /// `padding` in `padding=4`, and the number of characters before it.
    pub name: Option<(String, usize)>,
    pub item: Item,
}

impl CallArgument {
    /// An argument without a name.
    pub(super) fn positional(literal: Literal) -> Self {
        Self { name: None, item: literal.into() }
    }

    /// `name=literal`.
    pub(super) fn named(name: &str, literal: Literal) -> Self {
        Self { name: Some((name.to_owned(), 0)), item: literal.into() }
    }
}

impl Call {
    /// A call that was not parsed.
    pub(super) fn new(name: &str, arguments: Vec<CallArgument>) -> Self {
        let has_parentheses = !arguments.is_empty();
        Self { name: name.to_owned(), offset: 0, has_parentheses, arguments }
    }
}

impl Literal {
    /// A list of these.
    pub(super) fn list<T: Into<Self>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::List(values.into_iter().map(|v| Item::from(v.into())).collect())
    }

    /// A name without parentheses.
    pub(super) fn name(name: &str) -> Self {
        Self::Call(Call::new(name, Vec::new()))
    }

    /// A number without `.0` if it is whole, as levels and degrees are usually written.
    pub(super) fn number(x: f64) -> Self {
        let whole = x as i64;
        if whole as f64 == x && whole.abs() < 1 << 53 {
            Self::Int(whole)
        } else {
            Self::Float(x)
        }
    }

    /// The literal as it appears in a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Call(call) if call.has_parentheses => format!("{}(...)", call.name),
            other => other.to_string(),
        }
    }
}

impl From<bool> for Literal {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<usize> for Literal {
    fn from(n: usize) -> Self {
        i64::try_from(n).map_or(Self::Float(n as f64), Self::Int)
    }
}

impl From<f64> for Literal {
    fn from(x: f64) -> Self {
        Self::Float(x)
    }
}

/// The shortest decimal that reads back as the same float32.
impl From<f32> for Literal {
    fn from(x: f32) -> Self {
        Self::Float(x.to_string().parse().unwrap_or(f64::from(x)))
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Call> for Literal {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::None => f.write_str("None"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::List(items) => write_list(f, items),
            Self::Call(call) => write!(f, "{call}"),
        }
    }
}

/// `Name(positional, name=value)`, or only the name.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.arguments.is_empty() {
            return Ok(());
        }
        f.write_str("(")?;
        for (i, argument) in self.arguments.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if let Some((name, _)) = &argument.name {
                write!(f, "{name}=")?;
            }
            write!(f, "{}", argument.item.literal)?;
        }
        f.write_str(")")
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Item]) -> fmt::Result {
    // In Python code transforms are usually in a list and numbers in a tuple.
    let is_list = items.iter().any(|i| matches!(i.literal, Literal::Call(_)));
    let (open, close) = if is_list { ("[", "]") } else { ("(", ")") };
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{}", item.literal)?;
    }
    if items.len() == 1 && !is_list {
        f.write_str(",")?;
    }
    f.write_str(close)
}
