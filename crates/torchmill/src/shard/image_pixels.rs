//! The pixels of one image of a shard, however it is stored.

use std::borrow::Cow;
use std::ops::Range;

use crate::dataset::decode;
use crate::transform::{FilePart, Image};
use crate::{Error, Result};

/// An image's elements, which may be the shard's own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels<'a> {
    /// `[H, W, C]`: uint8, or little-endian elements of the shard's type.
    pub bytes: Cow<'a, [u8]>,
    /// `[C, H, W]`.
    pub shape: [usize; 3],
}

impl<'a> Pixels<'a> {
    pub(super) fn stored(bytes: &'a [u8], shape: [usize; 3]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), shape }
    }

    /// Decodes an image file, which must have this shape.
    pub(super) fn decode(file: &[u8], shape: [usize; 3]) -> Result<Self> {
        check_size(file, shape)?;
        let Image { pixels, .. } = decode::rgb(file)?;
        Ok(Self { bytes: Cow::Owned(pixels), shape })
    }

    /// Some rows of an image whose uint8 pixels are stored directly.
    pub(super) fn into_rows(self, rows: Range<usize>) -> Result<Image> {
        let [channels, height, width] = self.shape;
        let row = width * channels;
        match self.bytes.get(rows.start * row..rows.end * row) {
            Some(pixels) => {
                let pixels = pixels.to_vec();
                Ok(Image { width, height: rows.len(), channels, pixels })
            }
            None => Err(Error::failed(format_args!(
                "rows {rows:?} are outside the image's {height} rows"
            ))),
        }
    }

    /// The pixels, which must be uint8, as an image.
    pub fn into_image(self) -> Image {
        let [channels, height, width] = self.shape;
        Image { width, height, channels, pixels: self.bytes.into_owned() }
    }
}

/// Decodes a part of an image file, whose image must have this shape.
pub(super) fn decode_part(
    file: &[u8],
    shape: [usize; 3],
    part: &FilePart,
) -> Result<Image> {
    check_size(file, shape)?;
    decode::rgb_part(file, shape, part)
}

/// Rejects an image file whose image does not have the size in the index.
fn check_size(file: &[u8], [_, height, width]: [usize; 3]) -> Result<()> {
    let (found_width, found_height) = decode::dimensions(file)?;
    if (found_width, found_height) == (width, height) {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "is {found_width} x {found_height} pixels, but the index of the shard says {width} \
         x {height}: write it again with prep"
    )))
}
