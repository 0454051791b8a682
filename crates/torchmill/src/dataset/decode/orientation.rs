//! Turns images upright by the orientation in their files.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::{jpeg, png, webp};
use crate::transform::Image;

/// Rotates and flips a decoded image as its file's `bytes` say, like PIL's
/// `ImageOps.exif_transpose`: by the orientation in the EXIF data, or else in the XMP
/// data. A TIFF is already upright after decoding.
pub fn upright(image: Image, bytes: &[u8]) -> Image {
    let Some(metadata) = metadata(bytes) else { return image };
    let from_exif = metadata.exif.and_then(|exif| Orientation::from_exif_chunk(&exif));
    let orientation = from_exif.or_else(|| from_xmp(&metadata.xmp?));
    apply(image, orientation.unwrap_or(Orientation::NoTransforms))
}

/// The EXIF data, in the format of a TIFF file, and the XMP data, which is XML.
struct Metadata {
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
}

/// The metadata of a JPEG, PNG or WebP.
fn metadata(bytes: &[u8]) -> Option<Metadata> {
    if jpeg::is_jpeg(bytes) {
        return Some(Metadata {
            exif: jpeg::exif(bytes).map(<[u8]>::to_vec),
            xmp: jpeg::xmp(bytes).map(<[u8]>::to_vec),
        });
    }
    if webp::is_webp(bytes) {
        return Some(Metadata {
            exif: webp::exif(bytes).map(<[u8]>::to_vec),
            xmp: webp::xmp(bytes).map(<[u8]>::to_vec),
        });
    }
    png::is_png(bytes).then(|| Metadata { exif: png::exif(bytes), xmp: None })
}

/// The orientation in XMP data, by the pattern that PIL searches for:
/// `tiff:Orientation(="|>)([0-9])`.
fn from_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    for at in 0..xmp.len() {
        let Some(after) = xmp[at..].strip_prefix(NAME) else { continue };
        let value = after.strip_prefix(b"=\"").or(after.strip_prefix(b">"));
        if let Some([digit @ b'0'..=b'9', ..]) = value {
            return Orientation::from_exif(digit - b'0');
        }
    }
    None
}

/// Rotates and flips an RGB image.
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

/// Whether the orientation swaps width and height.
pub fn is_on_its_side(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use crate::transform::Exif;

    #[test]
    fn images_are_turned_as_pil_turns_them() {
        // See tests/golden/orientation.py.
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/orientation.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut count = 0;
        for name in file.names() {
            let Some(name) = name.strip_suffix(" file") else { continue };
            let image = file.tensor(&format!("{name} file")).unwrap();
            let turned = decode(image.data(), Exif::Apply).unwrap().image;
            let expected = file.tensor(&format!("{name} pixels")).unwrap();
            let shape = [turned.height, turned.width, 3];
            assert_eq!(shape, expected.shape(), "{name}");
            assert!(turned.pixels == expected.data(), "{name}");
            count += 1;
        }
        assert_eq!(count, 77);
    }
}
