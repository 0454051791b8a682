//! A rectangle of an image, without a copy of its pixels.

use std::ops::Range;

use crate::transform::sample::Image;
use crate::{Error, Result};

/// A rectangle of an image.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// From its first pixel on. There may be other bytes after the last one.
    pixels: &'a [u8],
    /// The number of bytes from one row to the next.
    pub stride: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Levels of a pixel.
    pub channels: usize,
}

impl<'a> View<'a> {
    /// The whole of an image.
    pub fn of(image: &'a Image) -> Self {
        let Image { width, height, channels, ref pixels } = *image;
        Self { pixels, stride: width * channels, width, height, channels }
    }

    /// Some rows and columns of an image. Fails if they are not within it.
    pub fn part(
        image: &'a Image,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Self> {
        let whole = Self::of(image);
        if rows.end > whole.height || columns.end > whole.width {
            return Err(Error::failed(format_args!(
                "rows {rows:?} and columns {columns:?} are outside the image of {} x {} \
                 pixels",
                whole.width, whole.height
            )));
        }
        let first = rows.start * whole.stride + columns.start * whole.channels;
        let pixels = whole.pixels.get(first..).unwrap_or(&[]);
        Ok(Self { pixels, width: columns.len(), height: rows.len(), ..whole })
    }

    /// The pixels from this row on.
    pub fn rows_from(&self, row: usize) -> &'a [u8] {
        &self.pixels[row * self.stride..]
    }

    /// A copy of the pixels.
    pub fn to_image(self) -> Image {
        let Self { width, height, channels, .. } = self;
        let mut pixels = Vec::with_capacity(width * height * channels);
        for row in 0..height {
            pixels.extend_from_slice(&self.rows_from(row)[..width * channels]);
        }
        Image { width, height, channels, pixels }
    }
}
