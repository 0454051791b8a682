//! The data that a pipeline transforms: an image of bytes, or a tensor of floats.

use std::ops::Range;

use crate::{Error, Result};

/// What is done with an image's EXIF orientation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exif {
    /// Nothing, like torchvision's loader.
    #[default]
    Ignore,
    /// The image is rotated and flipped, like PIL's `ImageOps.exif_transpose`.
    Apply,
}

/// A part of an image file, for a step that needs no more than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// The rows, counted in the scaled image.
    pub rows: Range<usize>,
    /// The columns, counted in the scaled image.
    pub columns: Range<usize>,
    /// 1, or the factor by which the image is decoded smaller: 2, 4 or 8.
    pub scale: usize,
}

impl FilePart {
    /// The whole of an image of this `[C, H, W]`.
    pub fn whole([_, height, width]: [usize; 3]) -> Self {
        Self { rows: 0..height, columns: 0..width, scale: 1 }
    }
}

/// A decoded part of an image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedPart {
    /// The rows of the part, and at least its columns: decoders work in blocks of columns.
    pub image: Image,
    /// The column of the (scaled) image that is the first of `image`.
    pub left: usize,
}

/// An image file that is decoded only as far as a pipeline needs it.
pub trait ImageFile {
    /// `[C, H, W]` of the whole image.
    fn shape(&self) -> [usize; 3];

    /// Whether a part may be decoded at a smaller scale, which changes its pixels.
    fn may_be_scaled(&self) -> bool;

    /// Decodes a part.
    fn decode(&self, part: &FilePart) -> Result<DecodedPart>;
}

/// The largest number of elements in a sample (256 Mi). A pipeline that needs more has a
/// mistake in its arguments.
const MAX_ELEMENTS: usize = 1 << 28;

/// An image as in PIL: row-major HWC uint8. `channels` is 1 (L) or 3 (RGB), and `pixels`
/// has `width * height * channels` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (L) or 3 (RGB).
    pub channels: usize,
    /// `[height, width, channels]`.
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
    /// Floats, after ToTensor.
    Tensor(Tensor),
}

/// Whether a sample is bytes or floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// An [`Image`]: uint8.
    Image,
    /// A [`Tensor`]: float32.
    Tensor,
}

/// The kind, the channels and the size of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSpec {
    /// Bytes or floats.
    pub kind: SampleKind,
    /// The number of channels.
    pub channels: usize,
    /// Height and width, or `None` if they differ between images.
    pub size: Option<(usize, usize)>,
}

impl SampleSpec {
    /// The spec of a uint8 image of this `[C, H, W]`.
    pub fn image([channels, height, width]: [usize; 3]) -> Self {
        Self { kind: SampleKind::Image, channels, size: Some((height, width)) }
    }

    /// The same spec with this height and width.
    #[must_use]
    pub fn with_size(self, height: usize, width: usize) -> Self {
        Self { size: Some((height, width)), ..self }
    }

    /// The spec of a sample that has either this or the other spec. They may differ in
    /// size, but not in kind or channels, which train must know.
    pub(super) fn or(self, other: Self) -> Result<Self> {
        if (self.kind, self.channels) != (other.kind, other.channels) {
            return Err(Error::usage(
                "its alternatives differ in channels, or in being images or tensors",
            ));
        }
        let size = if self.size == other.size { self.size } else { None };
        Ok(Self { size, ..self })
    }

    /// The spec of a sample with this many more rows and columns.
    pub(super) fn grown_by(self, rows: usize, columns: usize) -> Self {
        let size = self.size.map(|(height, width)| (height + rows, width + columns));
        Self { size, ..self }
    }

    /// Returns the spec, or an error if it is a tensor's.
    pub(super) fn require_image(self) -> Result<Self> {
        match self.kind {
            SampleKind::Image => Ok(self),
            SampleKind::Tensor => Err(needs_image()),
        }
    }

    /// Returns the spec, or an error if it is an image's.
    pub(super) fn require_tensor(self) -> Result<Self> {
        match self.kind {
            SampleKind::Image => Err(needs_tensor()),
            SampleKind::Tensor => Ok(self),
        }
    }

    /// Rejects a sample without pixels, and one that is too large.
    pub(super) fn check(&self) -> Result<()> {
        if self.kind == SampleKind::Image && !matches!(self.channels, 1 | 3) {
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
    pub fn kind(&self) -> SampleKind {
        match self {
            Self::Image(_) => SampleKind::Image,
            Self::Tensor(_) => SampleKind::Tensor,
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
    pub fn spec(&self) -> SampleSpec {
        let [channels, height, width] = self.shape();
        SampleSpec { kind: self.kind(), channels, size: Some((height, width)) }
    }

    /// Rejects a sample whose number of values does not match its shape.
    pub(super) fn check(&self) -> Result<()> {
        self.spec().check()?;
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

    /// The image, or an error that says where to put the transform.
    pub fn into_image(self) -> Result<Image> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Tensor(_) => Err(needs_image()),
        }
    }

    /// The tensor, or an error that says where to put the transform.
    pub(super) fn into_tensor(self) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            Self::Image(_) => Err(needs_tensor()),
        }
    }
}

/// `channels * height * width`; an error if it is 0 or exceeds [`MAX_ELEMENTS`].
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

/// The error if a transform for images gets a tensor.
fn needs_image() -> Error {
    Error::usage("works on uint8 images: put it before ToTensor")
}

/// The error if a transform for tensors gets an image.
fn needs_tensor() -> Error {
    Error::usage("works on tensors: put it after ToTensor")
}
