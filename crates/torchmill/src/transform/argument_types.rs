//! The types of arguments that several transforms share.

use super::argument::{
    Argument, Checked, InvalidArgument, MAX_INTEGER, Parameter, names,
};
use super::literal::{Item, Literal};
use super::sample::{SampleKind, SampleSpec};
use crate::{Error, Result};

/// A size: one number, or height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// `224`: for Resize the shorter side, for crops both.
    Side(usize),
    /// `(height, width)`.
    Exact(usize, usize),
}

impl Size {
    /// Height and width; one number means a square.
    pub fn square(self) -> (usize, usize) {
        match self {
            Self::Side(side) => (side, side),
            Self::Exact(height, width) => (height, width),
        }
    }
}

impl Argument for Size {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        const WHAT: &str = "a positive integer or (height, width)";
        let side = |item: &Item| match item.literal {
            Literal::Int(n) if n > MAX_INTEGER as i64 => {
                Err(parameter.must_be(&format!("at most {MAX_INTEGER}"), item))
            }
            Literal::Int(n) if n < 1 => Err(parameter.must_be("at least 1", item)),
            Literal::Int(n) => Ok(n as usize),
            _ => Err(parameter.must_be(WHAT, item)),
        };
        match &item.literal {
            Literal::List(items) => match &items[..] {
                [one] => side(one).map(Self::Side),
                [height, width] => Ok(Self::Exact(side(height)?, side(width)?)),
                _ => Err(parameter.must_be(WHAT, item)),
            },
            _ => side(item).map(Self::Side),
        }
    }
    fn literal(&self) -> Literal {
        match *self {
            Self::Side(side) => side.into(),
            Self::Exact(height, width) => Literal::list([height, width]),
        }
    }
}

/// A number for x and one for y; in text, one number may stand for both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair(pub f64, pub f64);

impl Argument for Pair {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::List(items) if items.len() == 1 => Self::read(&items[0], parameter),
            Literal::List(_) => {
                let [x, y] = <[f64; 2]>::read(item, parameter)?;
                Ok(Self(x, y))
            }
            _ => f64::read(item, parameter).map(|n| Self(n, n)),
        }
    }

    fn literal(&self) -> Literal {
        if self.0 == self.1 {
            return Literal::number(self.0);
        }
        Literal::list([Literal::number(self.0), Literal::number(self.1)])
    }
}

/// The number of pixels to add on each side.
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

impl Edges {
    /// No padding.
    pub(super) const NONE: Self = Self { left: 0, top: 0, right: 0, bottom: 0 };

    /// The number of added rows.
    pub(super) fn rows(self) -> usize {
        self.top + self.bottom
    }

    /// The number of added columns.
    pub(super) fn columns(self) -> usize {
        self.left + self.right
    }
}

impl Argument for Edges {
    /// `4`, `(left and right, top and bottom)` or `(left, top, right, bottom)`.
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        let sides = match &item.literal {
            Literal::List(items) => items
                .iter()
                .map(|i| usize::read(i, parameter))
                .collect::<Result<Vec<_>>>()?,
            _ => vec![usize::read(item, parameter)?],
        };
        match sides[..] {
            [n] => Ok(Self { left: n, top: n, right: n, bottom: n }),
            [x, y] => Ok(Self { left: x, top: y, right: x, bottom: y }),
            [left, top, right, bottom] => Ok(Self { left, top, right, bottom }),
            _ => Err(parameter.must_be("an integer, two or four", item)),
        }
    }
    fn literal(&self) -> Literal {
        let Self { left, top, right, bottom } = *self;
        if (left, top) != (right, bottom) {
            return Literal::list([left, top, right, bottom]);
        }
        if left == top { left.into() } else { Literal::list([left, top]) }
    }
}

/// The value of pixels outside the image: one, or one for each channel. `None` in text is
/// 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill(pub Vec<f64>);

impl Fill {
    /// 0 in all channels.
    pub fn zero() -> Self {
        Self(vec![0.0])
    }

    /// The value for each channel; an error if the numbers of channels differ.
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

    /// The same for an image: the values truncated and clipped to 0 to 255.
    pub(super) fn levels(&self, channels: usize) -> Result<Vec<u8>> {
        Ok(self.channels(channels)?.into_iter().map(|x| x as u8).collect())
    }

    /// Rejects values that do not fit the channels, before any image is seen.
    pub(super) fn check(&self, input: SampleSpec) -> Result<()> {
        match input.kind {
            SampleKind::Image => self.levels(input.channels).map(|_| ()),
            SampleKind::Tensor => self.channels(input.channels).map(|_| ()),
        }
    }
}

impl Argument for Fill {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::None => Ok(Self::zero()),
            Literal::List(items) if items.is_empty() => {
                Err(parameter.must_be("a number, or one for each channel", item))
            }
            Literal::List(items) => items
                .iter()
                .map(|i| f64::read(i, parameter))
                .collect::<Result<_>>()
                .map(Self),
            _ => Ok(Self(vec![f64::read(item, parameter)?])),
        }
    }
    fn literal(&self) -> Literal {
        match &self.0[..] {
            [one] => Literal::number(*one),
            each => Literal::list(each.iter().map(|&x| Literal::number(x))),
        }
    }
}

/// The range of a random value: a distance from a centre, or two bounds.
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

    /// Rejects negative distances, reversed ranges and values outside `bounds`.
    pub(super) fn check(
        self,
        parameter: &'static str,
        center: f64,
        bounds: [f64; 2],
    ) -> Checked {
        if let Self::By(distance) = self
            && distance < 0.0
        {
            return Err(InvalidArgument::new(
                parameter,
                format!("must not be negative, not {distance}"),
            ));
        }
        let [low, high] = self.about(center);
        if !(bounds[0] <= low && low <= high && high <= bounds[1]) {
            let why =
                format!("must go from low to high within {} to {}", bounds[0], bounds[1]);
            return Err(InvalidArgument::new(parameter, why));
        }
        Ok(())
    }
}

impl Argument for Spread {
    fn read(item: &Item, parameter: &Parameter) -> Result<Self> {
        match &item.literal {
            Literal::Int(_) | Literal::Float(_) => {
                f64::read(item, parameter).map(Self::By)
            }
            _ => <[f64; 2]>::read(item, parameter)
                .map(|[low, high]| Self::Between(low, high)),
        }
    }
    fn literal(&self) -> Literal {
        match *self {
            Self::By(distance) => Literal::number(distance),
            Self::Between(low, high) => {
                Literal::list([Literal::number(low), Literal::number(high)])
            }
        }
    }
}

names! {
    /// The interpolation: torchvision's InterpolationMode, or PIL's number for it.
    pub enum Interpolation written |text: &str| format!("InterpolationMode.{}", text.to_uppercase()); {
        /// The nearest pixel.
        Nearest = "nearest" | "nearest-exact" | "nearest_exact" | "0",
        /// Linear in both directions.
        Bilinear = "bilinear" | "2",
        /// Cubic in both directions.
        Bicubic = "bicubic" | "3",
        /// The mean of the pixels that an output pixel covers.
        Box = "box" | "4",
        /// Sharper than bilinear, without the artefacts of box.
        Hamming = "hamming" | "5",
        /// A truncated sinc, 3 lobes.
        Lanczos = "lanczos" | "1",
    }
}

impl Interpolation {
    /// Rejects the filters that are only for resizing.
    pub(super) fn check_for_warp(self) -> Checked {
        match self {
            Self::Nearest | Self::Bilinear | Self::Bicubic => Ok(()),
            _ => Err(InvalidArgument::new(
                "interpolation",
                "must be nearest, bilinear or bicubic here",
            )),
        }
    }
}

names! {
    /// The pixels around an image that is padded.
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
