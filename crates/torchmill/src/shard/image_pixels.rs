//! The pixels of one image of a shard, however it is stored.

use std::borrow::Cow;

use crate::dataset::decode;
use crate::transform::{DecodedPart, FilePart, Image, View};
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

    /// A part of an image whose uint8 pixels are stored directly.
    pub(super) fn part(&self, part: &FilePart) -> Result<DecodedPart> {
        let FilePart { rows, columns, .. } = part.clone();
        let left = columns.start;
        let view = View::new(&self.bytes, self.shape).part(rows, columns)?;
        Ok(DecodedPart { image: view.to_image(), left })
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
) -> Result<DecodedPart> {
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
