//! The kinds of argument that several transforms share.

use super::arguments::{Argument, Place};
use super::names::names;
use super::step::Wrong;
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
            Value::Int(n) if n > MAX_SIDE as i64 => {
                Err(place.must_be(&format!("at most {MAX_SIDE}"), item))
            }
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
            Value::List(items) => {
                items.iter().map(|i| usize::read(i, place)).collect::<Result<Vec<_>>>()?
            }
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

/// The value of pixels that come from outside the image: one, or one a channel; `None` in
/// a text is 0.
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
            Value::List(items) if items.is_empty() => {
                Err(place.must_be("a number, or one a channel", item))
            }
            Value::List(items) => {
                items.iter().map(|i| f64::read(i, place)).collect::<Result<_>>().map(Self)
            }
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

/// How far something random may go: by so much about a centre, or between two values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// `0.2`: 0.2 less to 0.2 more.
    By(f64),
    /// `(0.5, 1.5)`.
    Between(f64, f64),
}

impl Spread {
    /// The lowest and the highest value.
    pub fn about(self, center: f64) -> [f64; 2] {
        match self {
            Self::By(distance) => [center - distance, center + distance],
            Self::Between(low, high) => [low, high],
        }
    }

    /// Refuses negative distances, ranges that run backwards and what is beyond these
    /// bounds.
    pub(super) fn check(
        self,
        parameter: &'static str,
        center: f64,
        bounds: [f64; 2],
    ) -> std::result::Result<(), Wrong> {
        if let Self::By(distance) = self
            && distance < 0.0
        {
            return Err(Wrong::new(
                parameter,
                format!("must not be negative, as {distance} is"),
            ));
        }
        let [low, high] = self.about(center);
        if !(bounds[0] <= low && low <= high && high <= bounds[1]) {
            let why =
                format!("must go from low to high within {} to {}", bounds[0], bounds[1]);
            return Err(Wrong::new(parameter, why));
        }
        Ok(())
    }
}

impl Argument for Spread {
    fn read(item: &Item, place: &Place) -> Result<Self> {
        match &item.value {
            Value::Int(_) | Value::Float(_) => f64::read(item, place).map(Self::By),
            _ => {
                <[f64; 2]>::read(item, place).map(|[low, high]| Self::Between(low, high))
            }
        }
    }
    fn value(&self) -> Value {
        match *self {
            Self::By(distance) => number(distance),
            Self::Between(low, high) => Value::tuple([number(low), number(high)]),
        }
    }
}

/// A number without `.0` where it is whole, as one writes levels and degrees.
pub(super) fn number(x: f64) -> Value {
    let whole = x as i64;
    if whole as f64 == x && whole.abs() < 1 << 53 {
        Value::Int(whole)
    } else {
        Value::Float(x)
    }
}

names! {
    /// How pixels between pixels are found: torchvision's InterpolationMode, or PIL's
    /// numbers.
    pub enum Interpolation shown |text: &str| format!("InterpolationMode.{}", text.to_uppercase()); {
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

impl Interpolation {
    /// Refuses the filters that are for resizing only.
    pub(super) fn check_for_warping(self) -> std::result::Result<(), Wrong> {
        match self {
            Self::Nearest | Self::Bilinear | Self::Bicubic => Ok(()),
            _ => Err(Wrong::new(
                "interpolation",
                "must be nearest, bilinear or bicubic here",
            )),
        }
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
