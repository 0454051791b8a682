//! From a call's literals to a transform's fields, and what each kind of argument may
//! look like.

use super::value::{Call, Item, Value};
use super::{syntax, types};
use crate::{Error, Result, suggest};

/// A call whose arguments have found their parameters.
pub(super) struct Bound<'a> {
    text: &'a str,
    call: &'a Call,
    given: Vec<(&'static str, &'a Item)>,
}

impl<'a> Bound<'a> {
    /// Matches arguments to parameters as Python does: by position, then by name.
    pub(super) fn new(
        text: &'a str,
        call: &'a Call,
        parameters: &[&'static str],
    ) -> Result<Self> {
        let mut bound = Self { text, call, given: Vec::new() };
        let mut positions = parameters.iter();
        let mut named = false;
        for argument in &call.arguments {
            let (parameter, at) = match &argument.name {
                Some((name, at)) => {
                    named = true;
                    let known = parameters.iter().find(|p| *p == name);
                    (known.ok_or_else(|| bound.unknown(name, *at, parameters))?, *at)
                }
                None if named => {
                    return Err(bound.wrong(
                        argument.item.at,
                        "a positional argument follows a named one",
                    ));
                }
                None => match positions.next() {
                    Some(parameter) => (parameter, argument.item.at),
                    None => return Err(bound.too_many(argument.item.at, parameters)),
                },
            };
            if bound.find(parameter).is_some() {
                return Err(bound.wrong(at, format_args!("{parameter} is given twice")));
            }
            bound.given.push((parameter, &argument.item));
        }
        Ok(bound)
    }

    fn unknown(&self, name: &str, at: usize, parameters: &[&'static str]) -> Error {
        let known = match suggest::nearest(name, parameters.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if parameters.is_empty() => "it takes none".to_owned(),
            None => format!("it takes {}", parameters.join(", ")),
        };
        self.wrong(at, format_args!("there is no argument {name} ({known})"))
    }

    fn too_many(&self, at: usize, parameters: &[&'static str]) -> Error {
        match parameters {
            [] => self.wrong(at, "it takes no arguments"),
            _ => self.wrong(
                at,
                format_args!("too many arguments: it takes {}", parameters.join(", ")),
            ),
        }
    }

    fn find(&self, parameter: &str) -> Option<&'a Item> {
        self.given.iter().find(|(name, _)| *name == parameter).map(|(_, item)| *item)
    }

    /// An error at this place that names the transform.
    pub(super) fn wrong(&self, at: usize, why: impl std::fmt::Display) -> Error {
        syntax::wrong_at(self.text, at, format_args!("{}: {why}", self.call.name))
    }

    /// An error about this argument, where it stands, or at the transform where it is not
    /// given.
    pub(super) fn wrong_argument(
        &self,
        parameter: &str,
        why: impl std::fmt::Display,
    ) -> Error {
        let at = self.find(parameter).map_or(self.call.at, |item| item.at);
        self.wrong(at, format_args!("{parameter} {why}"))
    }

    /// The argument, or `None` where it is not given.
    pub(super) fn optional<T: Argument>(
        &self,
        parameter: &'static str,
    ) -> Result<Option<T>> {
        let place = Place { bound: self, parameter };
        self.find(parameter).map(|item| T::read(item, &place)).transpose()
    }

    /// The argument, which must be given.
    pub(super) fn required<T: Argument>(&self, parameter: &'static str) -> Result<T> {
        self.optional(parameter)?.ok_or_else(|| {
            self.wrong(self.call.at, format_args!("the argument {parameter} is missing"))
        })
    }
}

/// The argument that is being read, for messages.
pub(super) struct Place<'a> {
    bound: &'a Bound<'a>,
    parameter: &'static str,
}

impl Place<'_> {
    /// The whole text, for reading transforms within transforms.
    pub(super) fn text(&self) -> &str {
        self.bound.text
    }

    /// `column 8: Resize: size must be an integer, not "x"`.
    pub(super) fn must_be(&self, what: &str, item: &Item) -> Error {
        self.must_be_hinted(what, item, "")
    }

    /// The same with a hint after it.
    pub(super) fn must_be_hinted(&self, what: &str, item: &Item, hint: &str) -> Error {
        let found = item.value.described();
        self.bound.wrong(
            item.at,
            format_args!("{} must be {what}, not {found}{hint}", self.parameter),
        )
    }
}

/// A type that a literal can be read as.
pub(super) trait Argument: Sized {
    /// Reads the literal.
    fn read(item: &Item, place: &Place) -> Result<Self>;
    /// The literal that reads back as this.
    fn value(&self) -> Value;
}

impl Argument for bool {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match item.value {
            Value::Bool(b) => Ok(b),
            _ => Err(place.must_be("True or False", item)),
        }
    }
    fn value(&self) -> Value {
        (*self).into()
    }
}

impl Argument for usize {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match item.value {
            Value::Int(n) if (0..=types::MAX_SIDE as i64).contains(&n) => Ok(n as Self),
            _ => {
                Err(place
                    .must_be(&format!("an integer from 0 to {}", types::MAX_SIDE), item))
            }
        }
    }
    fn value(&self) -> Value {
        (*self).into()
    }
}

impl Argument for f64 {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match item.value {
            Value::Int(n) => Ok(n as Self),
            Value::Float(x) => Ok(x),
            _ => Err(place.must_be("a number", item)),
        }
    }
    fn value(&self) -> Value {
        (*self).into()
    }
}

/// A range or a pair: exactly two numbers.
impl Argument for [f64; 2] {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::List(items) if items.len() == 2 => {
                Ok([f64::read(&items[0], place)?, f64::read(&items[1], place)?])
            }
            _ => Err(place.must_be("two numbers, such as (0.5, 1.0)", item)),
        }
    }
    fn value(&self) -> Value {
        Value::tuple(*self)
    }
}

impl<T: Argument> Argument for Option<T> {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match item.value {
            Value::None => Ok(None),
            _ => T::read(item, place).map(Some),
        }
    }
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::None, T::value)
    }
}

/// Declares a transform: its struct, whose fields are its arguments in torchvision's
/// order, those with `=` optional; and how it is read from a text and written to one.
/// What it does is its `Step`.
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
            pub(super) const NAME: &'static str = stringify!($name);
            /// The last ones may be those that mean nothing here and are accepted and
            /// dropped.
            pub(super) const PARAMETERS: &'static [&'static str] =
                &[$(stringify!($field),)* $($(stringify!($ignored),)+)?];

            pub(super) fn read(bound: &$crate::transform::arguments::Bound) -> $crate::Result<Self> {
                let _ = bound;
                Ok(Self {
                    $( $field: $crate::transform::arguments::field!(bound, $field $(, $default)?) ),*
                })
            }
        }

        impl $crate::transform::step::Declared for $name {
            fn name(&self) -> &'static str {
                Self::NAME
            }

            fn written(&self) -> Vec<(Option<&'static str>, $crate::transform::value::Value)> {
                let all: &[Option<(Option<&'static str>, $crate::transform::value::Value)>] =
                    &[$( $crate::transform::arguments::write!(self.$field, $field $(, $default)?) ),*];
                all.iter().flatten().cloned().collect()
            }
        }
    };
}

macro_rules! field {
    ($bound:ident, $field:ident) => {
        $bound.required(stringify!($field))?
    };
    ($bound:ident, $field:ident, $default:expr) => {
        match $bound.optional(stringify!($field))? {
            Some(given) => given,
            None => $default,
        }
    };
}

macro_rules! write {
    ($value:expr, $field:ident) => {
        Some((None, $crate::transform::arguments::Argument::value(&$value)))
    };
    ($value:expr, $field:ident, $default:expr) => {
        ($value != $default).then(|| {
            (
                Some(stringify!($field)),
                $crate::transform::arguments::Argument::value(&$value),
            )
        })
    };
}

pub(super) use {field, transform, write};
