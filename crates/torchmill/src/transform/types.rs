//! The kinds of argument that several transforms share.

use super::arguments::{Argument, Place};
use super::value::{Item, Value};
use crate::{Error, Result};

/// No side, margin or count in a pipeline is larger than this.
pub(super) const MAX_SIDE: usize = 32768;

/// A size: one number, or height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// `224`: for Resize the shorter side, for crops both.
    Side(usize),
    /// `(height, width)`.
    Exact(usize, usize),
}

impl Size {
    /// Height and width where one number means a square.
    pub fn square(self) -> (usize, usize) {
        match self {
            Self::Side(side) => (side, side),
            Self::Exact(height, width) => (height, width),
        }
    }
}

impl Argument for Size {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        const WHAT: &str = "a positive integer or (height, width)";
        let side = |item: &Item| match item.value {
            Value::Int(n) if (1..=MAX_SIDE as i64).contains(&n) => Ok(n as usize),
            Value::Int(n) if n > MAX_SIDE as i64 => Err(place.must_be(&format!("at most {MAX_SIDE}"), item)),
            Value::Int(_) => Err(place.must_be("at least 1", item)),
            _ => Err(place.must_be(WHAT, item)),
        };
        match &item.value {
            Value::List(items) => match &items[..] {
                [one] => side(one).map(Self::Side),
                [height, width] => Ok(Self::Exact(side(height)?, side(width)?)),
                _ => Err(place.must_be(WHAT, item)),
            },
            _ => side(item).map(Self::Side),
        }
    }
    fn value(&self) -> Value {
        match *self {
            Self::Side(side) => side.into(),
            Self::Exact(height, width) => Value::tuple([height, width]),
        }
    }
}

/// How many pixels to add on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    /// Columns on the left.
    pub left: usize,
    /// Rows above.
    pub top: usize,
    /// Columns on the right.
    pub right: usize,
    /// Rows below.
    pub bottom: usize,
}

impl Argument for Edges {
    /// `4`, `(left and right, top and bottom)` or `(left, top, right, bottom)`.
    fn read(item: &Item, place: &Place) -> Result<Self> {
        let sides = match &item.value {
            Value::List(items) => items.iter().map(|i| usize::read(i, place)).collect::<Result<Vec<_>>>()?,
            _ => vec![usize::read(item, place)?],
        };
        match sides[..] {
            [n] => Ok(Self { left: n, top: n, right: n, bottom: n }),
            [x, y] => Ok(Self { left: x, top: y, right: x, bottom: y }),
            [left, top, right, bottom] => Ok(Self { left, top, right, bottom }),
            _ => Err(place.must_be("an integer, two or four", item)),
        }
    }
    fn value(&self) -> Value {
        let Self { left, top, right, bottom } = *self;
        if (left, top) != (right, bottom) {
            return Value::tuple([left, top, right, bottom]);
        }
        if left == top { left.into() } else { Value::tuple([left, top]) }
    }
}

/// The value of pixels that come from outside the image: one, or one a channel; `None` in a text is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill(pub Vec<f64>);

impl Fill {
    /// 0 in all channels.
    pub fn zero() -> Self {
        Self(vec![0.0])
    }

    /// The value for each channel, or an error where the numbers do not agree.
    pub(super) fn channels(&self, channels: usize) -> Result<Vec<f64>> {
        match &self.0[..] {
            [one] => Ok(vec![*one; channels]),
            each if each.len() == channels => Ok(each.to_vec()),
            each => Err(Error::usage(format_args!(
                "fill has {} values for an image of {channels} channels",
                each.len()
            ))),
        }
    }

    /// The same for an image, in whole levels.
    pub(super) fn levels(&self, channels: usize) -> Result<Vec<u8>> {
        Ok(self.channels(channels)?.into_iter().map(|x| x as u8).collect())
    }
}

impl Argument for Fill {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::None => Ok(Self::zero()),
            Value::List(items) if items.is_empty() => Err(place.must_be("a number, or one a channel", item)),
            Value::List(items) => items.iter().map(|i| f64::read(i, place)).collect::<Result<_>>().map(Self),
            _ => Ok(Self(vec![f64::read(item, place)?])),
        }
    }
    fn value(&self) -> Value {
        match &self.0[..] {
            [one] => number(*one),
            each => Value::tuple(each.iter().map(|&x| number(x))),
        }
    }
}

/// A number without `.0` where it is whole, as one writes levels and degrees.
pub(super) fn number(x: f64) -> Value {
    let whole = x as i64;
    if whole as f64 == x && whole.abs() < 1 << 53 { Value::Int(whole) } else { Value::Float(x) }
}

/// An argument that is one of a few names: as a string, as a member of torchvision's enumeration, or what
/// else stands for it. With `in Enumeration` the canonical text has the member, otherwise the string.
macro_rules! names {
    (
        $(#[$about:meta])*
        pub enum $name:ident $(in $enumeration:literal)? {
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
                $crate::transform::types::one_of(item, place, &known)
            }
            fn value(&self) -> $crate::transform::value::Value {
                let text = match self { $( Self::$variant => $text ),* };
                $( return $crate::transform::value::Value::name(&format!(
                    concat!($enumeration, ".{}"), text.to_uppercase()
                )); )?
                #[allow(unreachable_code)]
                text.into()
            }
        }
    };
}

/// The one that has this name, or an error that tells the names.
pub(super) fn one_of<T: Copy>(item: &Item, place: &Place, known: &[(T, &[&str])]) -> Result<T> {
    let name = match &item.value {
        Value::Text(name) => name.to_lowercase(),
        Value::Call(call) if !call.called => call.name.to_lowercase(),
        Value::Int(n) => n.to_string(),
        _ => String::new(),
    };
    if let Some((found, _)) = known.iter().find(|(_, names)| names.contains(&name.as_str())) {
        return Ok(*found);
    }
    let names: Vec<&str> = known.iter().filter_map(|(_, names)| names.first().copied()).collect();
    let hint = nearest(&name, names.iter().copied());
    let hint = hint.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    Err(place.must_be_hinted(&format!("one of {}", names.join(", ")), item, &hint))
}

names! {
    /// How pixels between pixels are found: torchvision's InterpolationMode, or PIL's numbers.
    pub enum Interpolation in "InterpolationMode" {
        /// The nearest pixel.
        Nearest = "nearest" | "nearest-exact" | "nearest_exact" | "0",
        /// Linear in both directions.
        Bilinear = "bilinear" | "2",
        /// Cubic in both directions.
        Bicubic = "bicubic" | "3",
        /// The mean of what a pixel covers.
        Box = "box" | "4",
        /// Sharper than bilinear, no dislocations as with box.
        Hamming = "hamming" | "5",
        /// A truncated sinc, 3 lobes.
        Lanczos = "lanczos" | "1",
    }
}

names! {
    /// What stands outside an image that is padded.
    pub enum PaddingMode {
        /// The fill value.
        Constant = "constant",
        /// The outermost pixel, repeated.
        Edge = "edge",
        /// The image mirrored, the outermost pixel not repeated.
        Reflect = "reflect",
        /// The image mirrored, the outermost pixel repeated.
        Symmetric = "symmetric",
    }
}

/// The name that was probably meant, if any is near.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |k: &str| strsim::damerau_levenshtein(&name, &k.to_lowercase());
    let near = known.min_by_key(|k| distance(k))?;
    // A third of the letters may be wrong; more is another word.
    (distance(near) <= near.len().max(name.len()).div_ceil(3)).then_some(near)
}
