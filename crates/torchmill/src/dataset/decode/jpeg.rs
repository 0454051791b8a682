//! JPEG to RGB: the pixels of libjpeg-turbo, and so of PIL and torchvision, to the bit.

use libjpeg_turbo_rs::{ComponentInfo, DecodeLimits, Decoder, PixelFormat};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{MAX_PIXELS, check_size};
use crate::transform::Image;
use crate::{Error, Result};

/// Whether these bytes begin as a JPEG file does.
pub fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// A JPEG's width and height.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let decoder = open(bytes)?;
    Ok((decoder.header().width(), decoder.header().height()))
}

/// Decodes a JPEG. Bad codes are passed over, as PIL does, but a file that is cut short
/// is refused.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    if !has_end(bytes) {
        return Err(damaged(&"its end is missing"));
    }
    let mut decoder = open(bytes)?;
    let (width, height) = (decoder.header().width(), decoder.header().height());
    let parts = &decoder.header().components;
    let inks = parts.len() == 4;
    let whole = |part: &ComponentInfo| {
        (part.horizontal_sampling, part.vertical_sampling) == (1, 1)
    };
    if inks && !parts.iter().all(whole) {
        return subsampled_inks(bytes);
    }
    let (format, channels) =
        if inks { (PixelFormat::Cmyk, 4) } else { (PixelFormat::Rgb, 3) };
    decoder.set_lenient(true);
    decoder.set_output_format(format);
    let mut pixels = vec![0; width * height * channels];
    decoder.decode_image_into(&mut pixels).map_err(|e| damaged(&e))?;
    if inks {
        pixels = pixels.chunks_exact(4).flat_map(from_inks).collect();
    }
    Ok(Image { width, height, channels: 3, pixels })
}

fn open(bytes: &[u8]) -> Result<Decoder<'_>> {
    let limits =
        DecodeLimits { max_pixels: MAX_PIXELS as u64, ..DecodeLimits::default() };
    let decoder = Decoder::new_with_limits(bytes, limits).map_err(|e| damaged(&e))?;
    check_size((decoder.header().width(), decoder.header().height()))?;
    Ok(decoder)
}

/// A JPEG of four inks in different resolutions: libjpeg-turbo-rs 0.8.0 panics at them.
/// Some levels off PIL.
fn subsampled_inks(bytes: &[u8]) -> Result<Image> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(u16::MAX.into())
        .set_max_height(u16::MAX.into())
        .jpeg_set_out_colorspace(ColorSpace::CMYK);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let inks = decoder.decode().map_err(|e| damaged(&e))?;
    let (width, height) =
        decoder.dimensions().ok_or_else(|| damaged(&"it has no size"))?;
    if inks.len() != width * height * 4 {
        return Err(damaged(&"its colours are of an unknown kind"));
    }
    Ok(Image {
        width,
        height,
        channels: 3,
        pixels: inks.chunks_exact(4).flat_map(from_inks).collect(),
    })
}

/// PIL's `convert("RGB")` of CMYK, which it takes to be stored inverted, as Adobe's
/// programs do.
fn from_inks(inks: &[u8]) -> [u8; 3] {
    let white = u32::from(inks[3]);
    let covered = |ink: u8| {
        let product = u32::from(255 - ink) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    };
    [covered(inks[0]), covered(inks[1]), covered(inks[2])]
}

/// Whether the marker that ends a JPEG file is there: near the end of the file, where it
/// mostly is, or where the segments lead, however much follows it (a second image,
/// padding).
fn has_end(bytes: &[u8]) -> bool {
    bytes[bytes.len().saturating_sub(1024)..].windows(2).any(|pair| pair == [0xff, EOI])
        || segments_end(bytes)
}

/// Whether the segments lead to the marker that ends an image. Source: ITU-T T.81, B.1.1.
fn segments_end(bytes: &[u8]) -> bool {
    // After the start of the image.
    let mut rest = bytes.get(2..).unwrap_or_default();
    // Between segments and in compressed data alike, the next marker is the next 0xff
    // that a code follows.
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[at + 1..];
        match rest.first() {
            Some(&EOI) => return true,
            // An 0xff of the compressed data, padding, and markers that stand alone.
            Some(0x00 | 0x01 | 0xd0..=0xd8 | 0xff) => {}
            Some(_) => match rest.get(1..3) {
                // A segment says its length, the two bytes of it included; thumbnails
                // have ends of their own.
                Some(&[high, low]) => {
                    rest = rest
                        .get(1 + usize::from(u16::from_be_bytes([high, low])).max(2)..)
                        .unwrap_or_default();
                }
                _ => return false,
            },
            None => return false,
        }
    }
    false
}

/// The marker of the end.
const EOI: u8 = 0xd9;

fn damaged(error: &dyn std::fmt::Display) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as JPEG, it is damaged or truncated: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    /// What PIL decodes: see tests/golden/jpeg.py.
    fn goldens() -> Vec<(String, Vec<u8>, Image)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/jpeg.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let names = file.names().into_iter().filter_map(|name| name.strip_suffix(".jpg"));
        let golden = |name: &str| {
            let jpeg = file.tensor(&format!("{name}.jpg")).unwrap().data().to_vec();
            let theirs = file.tensor(&format!("{name}.pixels")).unwrap();
            let [height, width, channels] = *theirs.shape() else {
                panic!("{name} is no image")
            };
            (
                name.to_owned(),
                jpeg,
                Image { width, height, channels, pixels: theirs.data().to_vec() },
            )
        };
        names.map(golden).collect()
    }

    #[test]
    fn pixels_are_those_of_pil() {
        let goldens = goldens();
        assert!(goldens.len() >= 13);
        for (name, jpeg, theirs) in goldens {
            assert_eq!(
                dimensions(&jpeg).unwrap(),
                (theirs.width, theirs.height),
                "{name}"
            );
            assert!(rgb(&jpeg).unwrap() == theirs, "{name} differs");
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for (name, jpeg, _) in goldens() {
            for end in [3, jpeg.len() / 2, jpeg.len() - 3] {
                let error = rgb(&jpeg[..end]).unwrap_err().to_string();
                assert!(error.contains("damaged or truncated"), "{name}: {error}");
            }
        }
    }

    #[test]
    fn what_follows_the_end_does_not_matter() {
        for (name, jpeg, theirs) in goldens() {
            // Any amount of padding, as phones and cameras add it, with what looks like
            // markers in it.
            let padded =
                [&jpeg[..], &[0; 5000], &[0xff, 0xd8, 0xff, 0xe1, 0x40], &[7; 3000]]
                    .concat();
            assert!(rgb(&padded).unwrap() == theirs, "{name} differs");
        }
    }
}
