//! Decoding image files to RGB, as torchvision's default loader does with PIL:
//! `Image.open(f).convert("RGB")`.
//!
//! The format is told by the first bytes, not by the name. Palettes are looked up, grey
//! is repeated, alpha is dropped (not blended), CMYK is converted by PIL's formula,
//! 16-bit colour keeps its high byte and 16-bit grey is clipped to 255 (as PIL does). The
//! EXIF orientation is not applied, as torchvision's loader ignores it; a TIFF's is, as
//! PIL does that itself.
//!
//! JPEG decoders need not agree to the last bit: [`jpeg`] uses PIL's own library.

mod cmyk;
mod codecs;
mod jpeg;
mod orientation;
mod pil;
mod tiff;
mod webp;

use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};

use image::{DynamicImage, ImageFormat, ImageReader};

pub use jpeg::is_jpeg;
pub use orientation::upright;

use crate::transform::Image;
use crate::{Error, Result};

/// More pixels than this are a decompression bomb, not a picture: PIL's limit.
const MAX_PIXELS: usize = 178_956_970;

/// A decoded image, and what was wrong with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// RGB.
    pub image: Image,
    /// The decoder's first warning: the file is damaged, and PIL reads it all the same.
    pub warning: Option<String>,
}

/// Decodes an image file's bytes to RGB, with the decoder's warning. A decoder that
/// panics makes an error.
pub fn decode(bytes: &[u8]) -> Result<Decoded> {
    guarded(|| {
        if is_jpeg(bytes) {
            return jpeg::rgb(bytes);
        }
        if tiff::is_tiff(bytes) {
            return tiff::rgb(bytes);
        }
        if webp::is_webp(bytes) {
            return Ok(Decoded { image: webp::rgb(bytes)?, warning: None });
        }
        Ok(Decoded { image: other(bytes)?, warning: None })
    })
}

/// Decodes an image file's bytes to RGB.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    Ok(decode(bytes)?.image)
}

/// Calls a decoder. Its panic becomes an error, as one bad file must not end a run.
fn guarded<T>(decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(decoder)).unwrap_or_else(|_| {
        Err(Error::failed(
            "cannot be decoded: the decoder panicked, which is a bug in it",
        ))
    })
}

/// An image's width and height, from the file's header alone.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    guarded(|| {
        if is_jpeg(bytes) {
            jpeg::dimensions(bytes)
        } else if tiff::is_tiff(bytes) {
            tiff::dimensions(bytes)
        } else if webp::is_webp(bytes) {
            webp::dimensions(bytes)
        } else {
            other_dimensions(bytes)
        }
    })
}

fn other_dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let (reader, _) = reader(bytes)?;
    let (width, height) = reader.into_dimensions().map_err(|e| unreadable(&e))?;
    Ok((width as usize, height as usize))
}

fn other(bytes: &[u8]) -> Result<Image> {
    let (reader, format) = reader(bytes)?;
    let decoded = reader.decode().map_err(|e| unreadable(&e))?;
    let decoded = pil::correct(decoded, bytes, format);
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    check_size((width, height))?;
    let high = |v: u16| (v >> 8) as u8;
    let pixels = match decoded {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageRgba8(image) => keep(image.as_raw(), 4, |v| v),
        DynamicImage::ImageLuma8(image) => repeat(image.as_raw(), 1, |v| v),
        DynamicImage::ImageLumaA8(image) => repeat(image.as_raw(), 2, |v| v),
        DynamicImage::ImageRgb16(image) => keep(image.as_raw(), 3, high),
        DynamicImage::ImageRgba16(image) => keep(image.as_raw(), 4, high),
        DynamicImage::ImageLuma16(image) => {
            repeat(image.as_raw(), 1, |v| v.min(255) as u8)
        }
        DynamicImage::ImageLumaA16(image) => repeat(image.as_raw(), 2, high),
        _ => {
            return Err(Error::failed(
                "has floating-point pixels, which have no one conversion to RGB",
            ));
        }
    };
    Ok(Image { width, height, channels: 3, pixels })
}

/// The first three of each pixel's `channels` values.
fn keep<T: Copy>(values: &[T], channels: usize, to_byte: impl Fn(T) -> u8) -> Vec<u8> {
    values
        .chunks_exact(channels)
        .flat_map(|p| [to_byte(p[0]), to_byte(p[1]), to_byte(p[2])])
        .collect()
}

/// The first of each pixel's `channels` values, three times.
fn repeat<T: Copy>(values: &[T], channels: usize, to_byte: impl Fn(T) -> u8) -> Vec<u8> {
    values.chunks_exact(channels).flat_map(|p| [to_byte(p[0]); 3]).collect()
}

fn reader(bytes: &[u8]) -> Result<(ImageReader<Cursor<&[u8]>>, ImageFormat)> {
    let format = image::guess_format(bytes).map_err(|_| {
        Error::failed("is no image (JPEG, PNG, GIF, BMP, WebP, TIFF or PNM) or is damaged at its start")
    })?;
    let known = [ImageFormat::Png, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Pnm];
    if !known.contains(&format) {
        return Err(Error::failed(format_args!(
            "is an image of the format {format:?}, which is not read; convert it to PNG or JPEG"
        )));
    }
    Ok((ImageReader::with_format(Cursor::new(bytes), format), format))
}

fn check_size((width, height): (usize, usize)) -> Result<()> {
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(()),
        _ => Err(Error::failed(format_args!(
            "is {width} x {height} pixels: no image, or one too large to read (the limit is {MAX_PIXELS})"
        ))),
    }
}

fn unreadable(error: &image::ImageError) -> Error {
    if let image::ImageError::Unsupported(what) = error {
        return Error::failed(format_args!(
            "is an image of a kind that is not read; convert it to PNG: {what}"
        ));
    }
    Error::failed(format_args!("cannot be decoded, it is damaged or truncated: {error}"))
}

#[cfg(test)]
mod tests;
