//! Decoding image files to RGB, as torchvision's default loader does with PIL:
//! `Image.open(f).convert("RGB")`.
//!
//! Each format's module produces PIL's pixels, or refuses the file as PIL does;
//! parity/images.py compares them. The format is detected from the first bytes, not from
//! the name. Palettes are looked up, grey is repeated, alpha is dropped (not blended),
//! CMYK is converted by PIL's formula. The EXIF orientation is applied only on request
//! ([`Exif`]), as torchvision's loader ignores it; a TIFF's is always applied, as PIL
//! does that itself.

mod bmp;
mod cmyk;
mod codecs;
mod gif;
mod jpeg;
mod orientation;
mod png;
mod pnm;
mod tiff;
mod webp;

use std::panic::{self, AssertUnwindSafe};

pub use jpeg::{can_be_scaled, is_jpeg};

use crate::transform::{DecodedPart, Exif, FilePart, Image};
use crate::{Error, Result};

/// PIL's limit: an image with more pixels is a decompression bomb.
const MAX_PIXELS: usize = 178_956_970;
/// The most characters of a decoder's message that are shown.
const MAX_MESSAGE: usize = 300;

/// A decoded image, and what was wrong with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// RGB.
    pub image: Image,
    /// The decoder's first warning if the file is damaged but PIL reads it anyway.
    pub warning: Option<String>,
}

/// An image format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
    Bmp,
    Tiff,
    Pnm,
}

/// Decodes an image file's bytes to RGB, with the decoder's warning. A panic in the
/// decoder is returned as an error.
pub fn decode(bytes: &[u8], exif: Exif) -> Result<Decoded> {
    let decoded = decode_as_stored(bytes)?;
    match exif {
        Exif::Ignore => Ok(decoded),
        Exif::Apply => guarded(|| {
            Ok(Decoded { image: orientation::upright(decoded.image, bytes), ..decoded })
        }),
    }
}

fn decode_as_stored(bytes: &[u8]) -> Result<Decoded> {
    let format = format_of(bytes)?;
    let whole = |image: Image| Decoded { image, warning: None };
    guarded(|| match format {
        Format::Jpeg => jpeg::rgb(bytes),
        Format::Png => png::rgb(bytes).map(whole),
        Format::Gif => gif::rgb(bytes).map(whole),
        Format::WebP => webp::rgb(bytes).map(whole),
        Format::Bmp => bmp::rgb(bytes).map(whole),
        Format::Tiff => tiff::rgb(bytes),
        Format::Pnm => pnm::rgb(bytes).map(whole),
    })
}

/// Decodes an image file's bytes to RGB, without applying the EXIF orientation.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    Ok(decode(bytes, Exif::Ignore)?.image)
}

/// Decodes a part of an image file, whose image has this `[C, H, W]`, to RGB. Only JPEG
/// can be partially decoded or scaled; an image of another format is decoded as a whole
/// and then cropped, and its part must not be scaled.
pub fn rgb_part(bytes: &[u8], shape: [usize; 3], part: &FilePart) -> Result<DecodedPart> {
    if *part == FilePart::whole(shape) {
        return Ok(DecodedPart { image: rgb(bytes)?, left: 0 });
    }
    if is_jpeg(bytes) {
        return guarded(|| jpeg::rgb_part(bytes, part));
    }
    rows_of_whole(rgb(bytes)?, part)
}

/// Decodes a part of a JPEG file to RGB, without a scale, with the decoder's warning. The
/// whole file is read, so that its errors and warnings are those of [`decode`]. The EXIF
/// orientation is not applied.
pub fn checked_jpeg_part(
    bytes: &[u8],
    part: &FilePart,
) -> Result<(DecodedPart, Option<String>)> {
    guarded(|| jpeg::checked_part(bytes, part))
}

/// The rows of a part of a whole image.
fn rows_of_whole(mut image: Image, part: &FilePart) -> Result<DecodedPart> {
    let is_within = part.rows.end <= image.height && part.columns.end <= image.width;
    if part.scale != 1 || !is_within {
        return Err(Error::failed(format_args!("has no part {part:?}")));
    }
    let row = image.width * image.channels;
    image.pixels.truncate(part.rows.end * row);
    image.pixels.drain(..part.rows.start * row);
    image.height = part.rows.len();
    Ok(DecodedPart { image, left: 0 })
}

/// An image's width and height, from the file's header only.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let format = format_of(bytes)?;
    guarded(|| match format {
        Format::Jpeg => jpeg::dimensions(bytes),
        Format::Png => png::dimensions(bytes),
        Format::Gif => gif::dimensions(bytes),
        Format::WebP => webp::dimensions(bytes),
        Format::Bmp => bmp::dimensions(bytes),
        Format::Tiff => tiff::dimensions(bytes),
        Format::Pnm => pnm::dimensions(bytes),
    })
}

fn format_of(bytes: &[u8]) -> Result<Format> {
    let formats = [
        (Format::Jpeg, is_jpeg(bytes)),
        (Format::Png, png::is_png(bytes)),
        (Format::Gif, gif::is_gif(bytes)),
        (Format::WebP, webp::is_webp(bytes)),
        (Format::Bmp, bmp::is_bmp(bytes)),
        (Format::Tiff, tiff::is_tiff(bytes)),
        (Format::Pnm, pnm::is_pnm(bytes)),
    ];
    let found = formats.into_iter().find(|(_, is_this)| *is_this);
    if let Some((format, _)) = found {
        return Ok(format);
    }
    match image::guess_format(bytes) {
        Ok(other) => Err(Error::failed(format_args!(
            "is an image of the format {other:?}, which is not supported: convert it to PNG \
             or JPEG"
        ))),
        Err(_) => Err(Error::failed(
            "is not an image (JPEG, PNG, GIF, BMP, WebP, TIFF or PNM) or is damaged at its \
             start",
        )),
    }
}

/// Calls a decoder. A panic becomes an error, since one bad file must not end a run, and
/// messages are kept short and printable.
fn guarded<T>(decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    match panic::catch_unwind(AssertUnwindSafe(decoder)) {
        Ok(done) => done.map_err(|error| short(&error)),
        Err(_) => Err(Error::failed("cannot be decoded: the decoder has a bug")),
    }
}

/// The error with control characters escaped and at most [`MAX_MESSAGE`] characters.
fn short(error: &Error) -> Error {
    let mut text = String::new();
    for (count, character) in error.to_string().chars().enumerate() {
        if count == MAX_MESSAGE {
            text += "...";
            break;
        }
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    Error::failed(text)
}

fn check_size((width, height): (usize, usize)) -> Result<()> {
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(()),
        _ => Err(Error::failed(format_args!(
            "is {width} x {height} pixels: not an image, or too large to read (the \
             limit is {MAX_PIXELS})"
        ))),
    }
}

#[cfg(test)]
mod tests;
