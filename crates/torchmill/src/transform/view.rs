//! A rectangle of an image, without a copy of its pixels.

use std::ops::Range;

use super::sample::Image;
use crate::{Error, Result};

/// A rectangle of an image.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
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
        Self::new(pixels, [channels, height, width])
    }

    /// The pixels `[H, W, C]` of an image of this `[C, H, W]`.
    pub fn new(pixels: &'a [u8], [channels, height, width]: [usize; 3]) -> Self {
        Self { pixels, stride: width * channels, width, height, channels }
    }

    /// Some rows and columns. Fails if they are not within it.
    pub fn part(self, rows: Range<usize>, columns: Range<usize>) -> Result<Self> {
        if rows.end > self.height || columns.end > self.width {
            return Err(Error::failed(format_args!(
                "rows {rows:?} and columns {columns:?} are outside the image of {} x {} \
                 pixels",
                self.width, self.height
            )));
        }
        let first = rows.start * self.stride + columns.start * self.channels;
        let pixels = self.pixels.get(first..).unwrap_or(&[]);
        Ok(Self { pixels, width: columns.len(), height: rows.len(), ..self })
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
