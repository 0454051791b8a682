//! The pixels of one image of a shard, whichever way it is stored.

use std::borrow::Cow;

use crate::dataset::decode;
use crate::transform::Image;
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
        let Image { width, height, channels, pixels } = decode::rgb(file)?;
        if [channels, height, width] != shape {
            let [_, expected_height, expected_width] = shape;
            return Err(Error::failed(format_args!(
                "is {width} x {height} pixels, but the index of the shard says \
                 {expected_width} x {expected_height}: write it again with prep"
            )));
        }
        Ok(Self { bytes: Cow::Owned(pixels), shape })
    }

    /// The image of uint8 pixels.
    pub fn into_image(self) -> Image {
        let [channels, height, width] = self.shape;
        Image { width, height, channels, pixels: self.bytes.into_owned() }
    }
}
