//! Reads the literals of a call into the fields of a transform.

use super::literal::{Call, Item, Literal};
use super::syntax;
use crate::{Error, Result, suggest};

/// The largest integer argument: no side, margin or count in a pipeline may exceed it.
pub(super) const MAX_INTEGER: usize = 32768;

/// The arguments of a call, matched to the parameters of a transform.
pub(super) struct Arguments<'a> {
    text: &'a str,
    call: &'a Call,
    matched: Vec<(&'static str, &'a Item)>,
}

impl<'a> Arguments<'a> {
    /// Matches arguments to parameters as Python does: by position, then by name.
    pub(super) fn new(
        text: &'a str,
        call: &'a Call,
        parameters: &[&'static str],
    ) -> Result<Self> {
        let mut arguments = Self { text, call, matched: Vec::new() };
        let mut by_position = parameters.iter();
        let mut named_before = false;
        for argument in &call.arguments {
            let item = &argument.item;
            let (parameter, offset) = match &argument.name {
                Some((name, offset)) => {
                    named_before = true;
                    (arguments.named(name, *offset, parameters)?, *offset)
                }
                None if named_before => {
                    let why = "a positional argument follows a named one";
                    return Err(arguments.error_at(item.offset, why));
                }
                None => match by_position.next() {
                    Some(parameter) => (*parameter, item.offset),
                    None => return Err(arguments.too_many(item.offset, parameters)),
                },
            };
            if arguments.find(parameter).is_some() {
                let why = format_args!("{parameter} is given twice");
                return Err(arguments.error_at(offset, why));
            }
            arguments.matched.push((parameter, item));
        }
        Ok(arguments)
    }

    /// The parameter of this name.
    fn named(
        &self,
        name: &str,
        offset: usize,
        parameters: &[&'static str],
    ) -> Result<&'static str> {
        if let Some(parameter) = parameters.iter().find(|p| **p == name) {
            return Ok(parameter);
        }
        let hint = match suggest::nearest(name, parameters.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if parameters.is_empty() => "it takes none".to_owned(),
            None => format!("it takes {}", parameters.join(", ")),
        };
        let why = format_args!("there is no argument {name} ({hint})");
        Err(self.error_at(offset, why))
    }

    fn too_many(&self, offset: usize, parameters: &[&'static str]) -> Error {
        if parameters.is_empty() {
            return self.error_at(offset, "it takes no arguments");
        }
        let known = parameters.join(", ");
        self.error_at(offset, format_args!("too many arguments: it takes {known}"))
    }

    fn find(&self, parameter: &str) -> Option<&'a Item> {
        let matched = self.matched.iter().find(|(name, _)| *name == parameter);
        matched.map(|(_, item)| *item)
    }

    /// An error at this offset that names the transform.
    pub(super) fn error_at(&self, offset: usize, why: impl std::fmt::Display) -> Error {
        syntax::error_at(self.text, offset, format_args!("{}: {why}", self.call.name))
    }

    /// An error about this argument, at its position, or at the transform if it is not
    /// given.
    pub(super) fn error_in(&self, parameter: &str, why: impl std::fmt::Display) -> Error {
        let offset = match self.find(parameter) {
            Some(item) => item.offset,
            None => self.call.offset,
        };
        self.error_at(offset, format_args!("{parameter} {why}"))
    }

    /// The argument, or `None` if it was not given.
    pub(super) fn optional<T: Argument>(&self, name: &'static str) -> Result<Option<T>> {
        match self.find(name) {
            Some(item) => T::read(item, &Parameter { arguments: self, name }).map(Some),
            None => Ok(None),
        }
    }

    /// The argument; an error if it was not given.
    pub(super) fn required<T: Argument>(&self, name: &'static str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| {
            let why = format_args!("the argument {name} is missing");
            self.error_at(self.call.offset, why)
        })
    }
}

/// The parameter whose argument is being read, for messages.
pub(super) struct Parameter<'a> {
    arguments: &'a Arguments<'a>,
    name: &'static str,
}

impl Parameter<'_> {
    /// The whole text of the pipeline, for reading transforms within transforms.
    pub(super) fn text(&self) -> &str {
        self.arguments.text
    }

    /// `column 8: Resize: size must be an integer, not "x"`.
    pub(super) fn must_be(&self, what: &str, item: &Item) -> Error {
        self.must_be_with_hint(what, item, "")
    }

    /// Like [`Parameter::must_be`], with a hint after the message.
    pub(super) fn must_be_with_hint(&self, what: &str, item: &Item, hint: &str) -> Error {
        let found = item.literal.describe();
        let why = format_args!("{} must be {what}, not {found}{hint}", self.name);
        self.arguments.error_at(item.offset, why)
    }
}

/// A type that a literal can be read as.
pub(super) trait Argument: Sized {
    /// Reads the literal.
    fn read(item: &Item, parameter: &Parameter) -> Result<Self>;
    /// The literal that is read as this value.
    fn literal(&self) -> Literal;
}

/// An argument that is out of range.
#[derive(Debug)]
pub(super) struct InvalidArgument {
    /// The argument's name in torchvision.
    pub parameter: &'static str,
    /// `must be from 0 to 1, not 1.5`.
    pub reason: String,
}

/// Whether the arguments of a transform are in range.
pub(super) type Checked = std::result::Result<(), InvalidArgument>;

impl InvalidArgument {
    pub(super) fn new(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self { parameter, reason: reason.into() }
    }
}

/// Rejects a probability that is not from 0 to 1.
pub(super) fn check_probability(parameter: &'static str, p: f64) -> Checked {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(InvalidArgument::new(parameter, format!("must be from 0 to 1, not {p}")))
}

impl Argument for bool {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match item.literal {
            Literal::Bool(b) => Ok(b),
            _ => Err(parameter.must_be("True or False", item)),
        }
    }

    fn literal(&self) -> Literal {
        (*self).into()
    }
}

impl Argument for usize {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match item.literal {
            Literal::Int(n) if (0..=MAX_INTEGER as i64).contains(&n) => Ok(n as Self),
            _ => {
                let what = format!("an integer from 0 to {MAX_INTEGER}");
                Err(parameter.must_be(&what, item))
            }
        }
    }

    fn literal(&self) -> Literal {
        (*self).into()
    }
}

impl Argument for i64 {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match item.literal {
            Literal::Int(n) if n.unsigned_abs() <= MAX_INTEGER as u64 => Ok(n),
            _ => {
                let what = format!("an integer from -{MAX_INTEGER} to {MAX_INTEGER}");
                Err(parameter.must_be(&what, item))
            }
        }
    }

    fn literal(&self) -> Literal {
        Literal::Int(*self)
    }
}

impl Argument for f64 {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match item.literal {
            Literal::Int(n) => Ok(n as Self),
            Literal::Float(x) => Ok(x),
            _ => Err(parameter.must_be("a number", item)),
        }
    }

    fn literal(&self) -> Literal {
        (*self).into()
    }
}

/// A range or a pair: exactly two numbers.
impl Argument for [f64; 2] {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::List(items) if items.len() == 2 => {
                Ok([f64::read(&items[0], parameter)?, f64::read(&items[1], parameter)?])
            }
            _ => Err(parameter.must_be("two numbers, such as (0.5, 1.0)", item)),
        }
    }

    fn literal(&self) -> Literal {
        Literal::list(*self)
    }
}

impl Argument for Vec<f64> {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::List(items) => {
                items.iter().map(|item| f64::read(item, parameter)).collect()
            }
            _ => Err(parameter.must_be("a list of numbers", item)),
        }
    }

    fn literal(&self) -> Literal {
        Literal::list(self.iter().copied())
    }
}

impl<T: Argument> Argument for Option<T> {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match item.literal {
            Literal::None => Ok(None),
            _ => T::read(item, parameter).map(Some),
        }
    }

    fn literal(&self) -> Literal {
        match self {
            Some(value) => value.literal(),
            None => Literal::None,
        }
    }
}

/// Reads one of a few names: a string, a member of torchvision's enumeration, or PIL's
/// number for it. `known` has the names of each value; messages show the first.
pub(super) fn read_name<T: Copy>(
    item: &Item,
    parameter: &Parameter,
    known: &[(T, &[&str])],
) -> Result<T> {
    let name = match &item.literal {
        Literal::Text(name) => name.to_lowercase(),
        Literal::Call(call) if !call.has_parentheses => call.name.to_lowercase(),
        Literal::Int(n) => n.to_string(),
        _ => String::new(),
    };
    for (value, names) in known {
        if names.contains(&name.as_str()) {
            return Ok(*value);
        }
    }
    let names: Vec<&str> = known.iter().map(|(_, names)| names[0]).collect();
    let hint = suggest::did_you_mean(&name, names.iter().copied());
    let what = format!("one of {}", names.join(", "));
    Err(parameter.must_be_with_hint(&what, item, &hint))
}

/// Declares an argument that is one of a few names. The canonical text has the first name
/// as a string, or what `written` makes of it.
macro_rules! names {
    (
        $(#[$about:meta])*
        pub enum $name:ident $(written $written:expr;)? {
            $( $(#[$what:meta])* $variant:ident = $text:literal $(| $alias:literal)* ),* $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[$what])* $variant ),* }

        impl $crate::transform::argument::Argument for $name {
            fn read(
                item: &$crate::transform::literal::Item,
                parameter: &$crate::transform::argument::Parameter,
            ) -> $crate::Result<Self> {
                let known = [$( (Self::$variant, &[$text $(, $alias)*][..]) ),*];
                $crate::transform::argument::read_name(item, parameter, &known)
            }

            fn literal(&self) -> $crate::transform::literal::Literal {
                let text = match self { $( Self::$variant => $text ),* };
                $( return $crate::transform::literal::Literal::name(&$written(text)); )?
                #[allow(unreachable_code)]
                text.into()
            }
        }
    };
}

/// Declares a transform: a struct whose fields are its arguments in torchvision's order,
/// and how it is read from a call and written as one. A field with `=` is optional.
/// `accepts` names arguments that have no effect here and are dropped.
macro_rules! transform {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $( $(#[$what:meta])* pub $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
        $(accepts $($ignored:ident),+;)?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$what])* pub $field: $type ),*
        }

        impl $name {
            pub(in $crate::transform) const NAME: &'static str = stringify!($name);
            pub(in $crate::transform) const PARAMETERS: &'static [&'static str] =
                &[$(stringify!($field),)* $($(stringify!($ignored),)+)?];

            pub(in $crate::transform) fn read(
                arguments: &$crate::transform::argument::Arguments,
            ) -> $crate::Result<Self> {
                let _ = arguments;
                Ok(Self {
                    $( $field: $crate::transform::argument::read_field!(
                        arguments, $field $(, $default)?
                    ) ),*
                })
            }
        }

        impl $crate::transform::step::Signature for $name {
            fn name(&self) -> &'static str {
                Self::NAME
            }

            fn to_call(&self) -> $crate::transform::literal::Call {
                let arguments: Vec<Option<$crate::transform::literal::CallArgument>> =
                    vec![$( $crate::transform::argument::write_field!(
                        self.$field, $field $(, $default)?
                    ) ),*];
                let arguments = arguments.into_iter().flatten().collect();
                $crate::transform::literal::Call::new(Self::NAME, arguments)
            }
        }
    };
}

macro_rules! read_field {
    ($arguments:ident, $field:ident) => {
        $arguments.required(stringify!($field))?
    };
    ($arguments:ident, $field:ident, $default:expr) => {
        match $arguments.optional(stringify!($field))? {
            Some(value) => value,
            None => $default,
        }
    };
}

macro_rules! write_field {
    ($value:expr, $field:ident) => {
        Some($crate::transform::literal::CallArgument::positional(
            $crate::transform::argument::Argument::literal(&$value),
        ))
    };
    ($value:expr, $field:ident, $default:expr) => {
        ($value != $default).then(|| {
            $crate::transform::literal::CallArgument::named(
                stringify!($field),
                $crate::transform::argument::Argument::literal(&$value),
            )
        })
    };
}

pub(super) use {names, read_field, transform, write_field};
