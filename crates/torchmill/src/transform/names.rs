//! Arguments that are one of a few names.

use super::arguments::Place;
use super::value::{Item, Value};
use crate::Result;
use crate::suggest::did_you_mean;

/// An argument that is one of a few names: as a string, as a member of torchvision's
/// enumeration, or what else stands for it. The canonical text has the string, or what
/// `shown` makes of it.
macro_rules! names {
    (
        $(#[$about:meta])*
        pub enum $name:ident $(shown $shown:expr;)? {
            $( $(#[$what:meta])* $variant:ident = $text:literal $(| $alias:literal)* ),* $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[$what])* $variant ),* }

        impl $crate::transform::arguments::Argument for $name {
            fn read(
                item: &$crate::transform::value::Item,
                place: &$crate::transform::arguments::Place,
            ) -> $crate::Result<Self> {
                let known = [$( (Self::$variant, &[$text $(, $alias)*][..]) ),*];
                $crate::transform::names::one_of(item, place, &known)
            }
            fn value(&self) -> $crate::transform::value::Value {
                let text = match self { $( Self::$variant => $text ),* };
                $( return $crate::transform::value::Value::name(&$shown(text)); )?
                #[allow(unreachable_code)]
                text.into()
            }
        }
    };
}

pub(super) use names;

/// The one that has this name, or an error that tells the names.
pub(super) fn one_of<T: Copy>(
    item: &Item,
    place: &Place,
    known: &[(T, &[&str])],
) -> Result<T> {
    let name = match &item.value {
        Value::Text(name) => name.to_lowercase(),
        Value::Call(call) if !call.called => call.name.to_lowercase(),
        Value::Int(n) => n.to_string(),
        _ => String::new(),
    };
    if let Some((found, _)) =
        known.iter().find(|(_, names)| names.contains(&name.as_str()))
    {
        return Ok(*found);
    }
    let names: Vec<&str> =
        known.iter().filter_map(|(_, names)| names.first().copied()).collect();
    let hint = did_you_mean(&name, names.iter().copied());
    Err(place.must_be_hinted(&format!("one of {}", names.join(", ")), item, &hint))
}
