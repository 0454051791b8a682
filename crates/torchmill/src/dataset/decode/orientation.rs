//! Which way up an image is, as its file says.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::{jpeg, png, webp};
use crate::transform::Image;

/// Turns and mirrors a decoded image as the EXIF data in its file's `bytes` say, like
/// PIL's `ImageOps.exif_transpose`. A TIFF is already upright when it is decoded.
pub fn upright(image: Image, bytes: &[u8]) -> Image {
    let orientation = exif(bytes)
        .and_then(|exif| Orientation::from_exif_chunk(&exif))
        .unwrap_or(Orientation::NoTransforms);
    apply(image, orientation)
}

/// Turns and mirrors an RGB image.
pub fn apply(image: Image, orientation: Orientation) -> Image {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let size = (image.width as u32, image.height as u32);
    let Some(pixels) = RgbImage::from_raw(size.0, size.1, image.pixels) else {
        unreachable!("a decoded image has width * height * 3 bytes");
    };
    let mut turned = DynamicImage::ImageRgb8(pixels);
    turned.apply_orientation(orientation);
    Image {
        width: turned.width() as usize,
        height: turned.height() as usize,
        channels: 3,
        pixels: turned.into_bytes(),
    }
}

/// Whether the width and the height change places.
pub fn is_on_its_side(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// The EXIF data of a JPEG, PNG or WebP.
fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    if jpeg::is_jpeg(bytes) {
        return jpeg::exif(bytes).map(<[u8]>::to_vec);
    }
    if webp::is_webp(bytes) {
        return webp::exif(bytes).map(<[u8]>::to_vec);
    }
    png::is_png(bytes).then(|| png::exif(bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG's first segment with EXIF data that hold only an orientation.
    fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
        let tiff = [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat();
        let exif = [&b"Exif\0\0"[..], &tiff].concat();
        let length = (exif.len() + 2) as u16;
        let head = [&[0xff, 0xd8, 0xff, 0xe1][..], &length.to_be_bytes(), &exif];
        [&head.concat()[..], &jpeg[2..]].concat()
    }

    #[test]
    fn the_orientation_of_a_jpeg_is_applied() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/jpeg.safetensors");
        let file = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&file).unwrap();
        let jpeg = file.tensor("grey.jpg").unwrap().data();
        let plain = super::super::rgb(jpeg).unwrap();
        let (width, height) = (plain.width, plain.height);
        let pixel =
            |image: &Image, x: usize, y: usize| image.pixels[(y * image.width + x) * 3];
        for orientation in 1..=8 {
            let bytes = with_orientation(jpeg, orientation);
            let as_stored = super::super::rgb(&bytes).unwrap();
            assert!(as_stored == plain);
            let turned = upright(as_stored, &bytes);
            // Where the first pixel of the file goes, by the EXIF standard.
            let (x, y) = match orientation {
                1 | 5 => (0, 0),
                2 => (width - 1, 0),
                3 => (width - 1, height - 1),
                4 => (0, height - 1),
                6 => (height - 1, 0),
                7 => (height - 1, width - 1),
                _ => (0, width - 1),
            };
            assert_eq!(turned.width == height, orientation > 4, "{orientation}");
            assert_eq!(pixel(&turned, x, y), pixel(&plain, 0, 0), "{orientation}");
        }
    }
}
