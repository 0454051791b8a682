//! What goes through a pipeline: an image of bytes, or a tensor of floats.

use crate::{Error, Result};

/// No sample has more elements than this (256 Mi): beyond it an argument is a slip, not a
/// wish to allocate.
const MAX_ELEMENTS: usize = 1 << 28;

/// An image as PIL has it: row-major HWC uint8. `channels` is 1 (L) or 3 (RGB), and
/// `pixels` has `width * height * channels` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (L) or 3 (RGB).
    pub channels: usize,
    /// Row by row, the channels of a pixel side by side.
    pub pixels: Vec<u8>,
}

/// `[C, H, W]` float32, row-major, as after ToTensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// `C * H * W` values.
    pub values: Vec<f32>,
}

/// One image on its way through a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// Bytes, before ToTensor.
    Image(Image),
    /// Floats, after it.
    Tensor(Tensor),
}

/// Whether a sample is bytes or floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An [`Image`]: uint8.
    Image,
    /// A [`Tensor`]: float32.
    Tensor,
}

/// What is known of a sample before there is one: its kind, channels and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Bytes or floats.
    pub kind: Kind,
    /// How many channels.
    pub channels: usize,
    /// Height and width, or `None` where they differ from image to image.
    pub size: Option<(usize, usize)>,
}

impl Form {
    /// The form of a uint8 image of this `[C, H, W]`.
    pub fn image([channels, height, width]: [usize; 3]) -> Self {
        Self { kind: Kind::Image, channels, size: Some((height, width)) }
    }

    /// The same kind and channels, of this height and width.
    #[must_use]
    pub fn sized(self, height: usize, width: usize) -> Self {
        Self { size: Some((height, width)), ..self }
    }

    /// Refuses what has no pixels and what is too large to be meant.
    pub(super) fn check(&self) -> Result<()> {
        if self.kind == Kind::Image && !matches!(self.channels, 1 | 3) {
            return Err(Error::failed(format_args!(
                "an image has 1 or 3 channels, this one has {}",
                self.channels
            )));
        }
        if let Some((height, width)) = self.size {
            elements(self.channels, height, width)?;
        }
        Ok(())
    }
}

impl Sample {
    /// Bytes or floats.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Image(_) => Kind::Image,
            Self::Tensor(_) => Kind::Tensor,
        }
    }

    /// `[C, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        match self {
            Self::Image(image) => [image.channels, image.height, image.width],
            Self::Tensor(tensor) => tensor.shape,
        }
    }

    /// Its kind, channels and size.
    pub fn form(&self) -> Form {
        let [channels, height, width] = self.shape();
        Form { kind: self.kind(), channels, size: Some((height, width)) }
    }

    /// Refuses a sample whose length is not what its shape says.
    pub(super) fn check(&self) -> Result<()> {
        self.form().check()?;
        let [channels, height, width] = self.shape();
        let have = match self {
            Self::Image(image) => image.pixels.len(),
            Self::Tensor(tensor) => tensor.values.len(),
        };
        if have != elements(channels, height, width)? {
            return Err(Error::failed(format_args!(
                "a sample of {channels}x{height}x{width} cannot have {have} values"
            )));
        }
        Ok(())
    }

    /// The image, or an error that says where the transform belongs.
    pub(super) fn into_image(self) -> Result<Image> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Tensor(_) => Err(needs_image()),
        }
    }

    /// The tensor, or an error that says where the transform belongs.
    pub(super) fn into_tensor(self) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            Self::Image(_) => Err(needs_tensor()),
        }
    }
}

/// `channels * height * width`, refused where it is nothing or more than anyone means.
pub(super) fn elements(channels: usize, height: usize, width: usize) -> Result<usize> {
    match channels.checked_mul(height).and_then(|n| n.checked_mul(width)) {
        Some(0) => {
            Err(Error::failed(format_args!("{channels}x{height}x{width} has no pixels")))
        }
        Some(n) if n <= MAX_ELEMENTS => Ok(n),
        _ => Err(Error::failed(format_args!(
            "{channels}x{height}x{width} is too large for one image"
        ))),
    }
}

/// Where a transform of pixels is given floats.
pub(super) fn needs_image() -> Error {
    Error::usage("works on uint8 images: put it before ToTensor")
}

/// Where a transform of floats is given pixels.
pub(super) fn needs_tensor() -> Error {
    Error::usage("works on tensors: put it after ToTensor")
}
