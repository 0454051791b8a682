//! PNG to RGB with the image crate, whose pixels are the same as PIL's.

use std::borrow::Cow;
use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::check_size;
use crate::transform::Image;
use crate::{Error, Result};

/// Whether these bytes begin as a PNG file does.
pub fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// A PNG's width and height.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let (width, height) =
        reader(bytes).into_dimensions().map_err(|error| damaged(&error))?;
    let size = (width as usize, height as usize);
    check_size(size)?;
    Ok(size)
}

/// Decodes a PNG to RGB. Alpha is dropped, 16-bit colour keeps its high byte, and 16-bit
/// grey is clipped to 255, as PIL does.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    let (width, height) = dimensions(bytes)?;
    let plain = without_texts(bytes);
    let mut reader = reader(&plain);
    // check_size has limited the pixels, and nothing else is allocated.
    reader.no_limits();
    let decoded = reader.decode().map_err(|error| damaged(&error))?;
    let high = |value: u16| (value >> 8) as u8;
    let clipped = |value: u16| value.min(255) as u8;
    let pixels = match decoded {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageRgba8(image) => keep(image.as_raw(), 4, |v| v),
        DynamicImage::ImageLuma8(image) => repeat(image.as_raw(), 1, |v| v),
        DynamicImage::ImageLumaA8(image) => repeat(image.as_raw(), 2, |v| v),
        DynamicImage::ImageRgb16(image) => keep(image.as_raw(), 3, high),
        DynamicImage::ImageRgba16(image) => keep(image.as_raw(), 4, high),
        DynamicImage::ImageLuma16(image) => repeat(image.as_raw(), 1, clipped),
        // PIL reads grey with a transparent level as 16 bits, grey with alpha as 8 bits.
        DynamicImage::ImageLumaA16(image) if bytes.get(25) == Some(&0) => {
            repeat(image.as_raw(), 2, clipped)
        }
        DynamicImage::ImageLumaA16(image) => repeat(image.as_raw(), 2, high),
        _ => return Err(Error::failed("has pixels of a kind that PNG does not have")),
    };
    Ok(Image { width, height, channels: 3, pixels })
}

/// A PNG's EXIF data.
pub fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    reader(bytes).into_decoder().ok()?.exif_metadata().ok()?
}

fn reader(bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png)
}

/// The file without its compressed text and colour profile: a few bytes of these can
/// expand to any size, and no pixel depends on them.
fn without_texts(bytes: &[u8]) -> Cow<'_, [u8]> {
    const DROPPED: [&[u8]; 3] = [b"iCCP", b"zTXt", b"iTXt"];
    let (start, mut rest) = bytes.split_at(8);
    let mut kept = start.to_vec();
    let mut is_changed = false;
    // A chunk is a length, a type, that many bytes and a checksum.
    while let Some(head) = rest.get(..8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = length.saturating_add(12).min(rest.len());
        let (chunk, after) = rest.split_at(end);
        if DROPPED.contains(&&head[4..]) {
            is_changed = true;
        } else {
            kept.extend_from_slice(chunk);
        }
        rest = after;
    }
    kept.extend_from_slice(rest);
    if is_changed { Cow::Owned(kept) } else { Cow::Borrowed(bytes) }
}

fn damaged(error: &image::ImageError) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as PNG, it is damaged or truncated: {error}"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_profiles_are_dropped() {
        let chunk = |kind: &[u8]| [&[0, 0, 0, 2], kind, b"ab", &[0; 4]].concat();
        let header = chunk(b"IHDR");
        let start = b"\x89PNG\r\n\x1a\n".to_vec();
        let plain = [start.clone(), header.clone(), chunk(b"IDAT")].concat();
        assert!(matches!(without_texts(&plain), Cow::Borrowed(_)));
        let texts = [start, header, chunk(b"iCCP"), chunk(b"IDAT"), chunk(b"zTXt")];
        let texts = texts.concat();
        assert_eq!(*without_texts(&texts), plain[..]);
    }
}
