//! Where PIL's pixels are not those that the image crate decodes: by a rounding, or by a
//! convention.

use image::{DynamicImage, ImageFormat};

/// Makes PIL's pixels of what was decoded of these bytes.
pub fn correct(image: DynamicImage, bytes: &[u8], format: ImageFormat) -> DynamicImage {
    match (format, image) {
        // 16-bit grey with a transparent level stays grey to PIL.
        (ImageFormat::Png, DynamicImage::ImageLumaA16(image))
            if bytes.get(24..26) == Some(&[16, 0]) =>
        {
            DynamicImage::ImageLuma16(DynamicImage::ImageLumaA16(image).into_luma16())
        }
        (ImageFormat::Pnm, image) => pnm(image, bytes),
        (ImageFormat::Bmp, DynamicImage::ImageRgb8(image)) => {
            DynamicImage::ImageRgb8(bmp(image, bytes))
        }
        (ImageFormat::Gif, image) => gif(image, bytes),
        (_, image) => image,
    }
}

/// PIL's `round(level / maxval * 255)`, halves to even, of a colour's levels; the image
/// crate rounds halves up, and leaves 16 bits 16.
fn pnm(image: DynamicImage, bytes: &[u8]) -> DynamicImage {
    let Some(maxval) = pnm_maxval(bytes).filter(|m| (1..=65535).contains(m) && *m != 255)
    else {
        return image;
    };
    let maxval = f64::from(maxval);
    // `full` is what the image crate has made of maxval.
    let level = |value: f64, full: f64| {
        let level = (value * maxval / full).round();
        (level / maxval * 255.0).round_ties_even() as u8
    };
    match image {
        DynamicImage::ImageRgb16(image) => {
            let (width, height) = image.dimensions();
            let pixels =
                image.as_raw().iter().map(|&v| level(f64::from(v), 65535.0)).collect();
            image::RgbImage::from_raw(width, height, pixels)
                .map_or_else(|| DynamicImage::ImageRgb16(image), DynamicImage::ImageRgb8)
        }
        DynamicImage::ImageRgb8(mut image) => {
            image.iter_mut().for_each(|v| *v = level(f64::from(*v), 255.0));
            DynamicImage::ImageRgb8(image)
        }
        DynamicImage::ImageLuma8(mut image) => {
            image.iter_mut().for_each(|v| *v = level(f64::from(*v), 255.0));
            DynamicImage::ImageLuma8(image)
        }
        other => other,
    }
}

/// The highest level that the header of a grey or colour PNM gives: its third number.
fn pnm_maxval(bytes: &[u8]) -> Option<u32> {
    if !matches!(bytes.get(..2), Some(b"P2" | b"P3" | b"P5" | b"P6")) {
        return None;
    }
    let header = &bytes[2..bytes.len().min(4096)];
    let without_comments = header.split(|&b| b == b'\n' || b == b'\r').flat_map(|line| {
        let text = line.split(|&b| b == b'#').next().unwrap_or_default();
        text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    });
    without_comments
        .take(3)
        .last()
        .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

/// PIL's `level * 255 / 31` (or 63), cut off, of a BMP with 16 bits a pixel; the image
/// crate rounds.
fn bmp(mut image: image::RgbImage, bytes: &[u8]) -> image::RgbImage {
    let number = |at: usize| {
        bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    if bytes.get(28..30) != Some(&[16, 0]) {
        return image;
    }
    let green = match number(30) {
        Some(0) => 31,
        // With masks: 5, 6 and 5 bits, or 5 each.
        Some(3) if number(58) == Some(0x7e0) => 63,
        Some(3) if number(58) == Some(0x3e0) => 31,
        _ => return image,
    };
    for pixel in image.pixels_mut() {
        for (value, most) in pixel.0.iter_mut().zip([31, green, 31]) {
            let level = (u32::from(*value) * most + 127) / 255;
            *value = (level * 255 / most) as u8;
        }
    }
    image
}

/// What the first frame of a GIF leaves free has the transparent colour to PIL, or the
/// palette's first.
fn gif(image: DynamicImage, bytes: &[u8]) -> DynamicImage {
    let Some(frame) = first_frame(bytes) else { return image };
    let (width, height) = (image.width(), image.height());
    let [left, top, right, bottom] = frame.edges;
    if left == 0 && top == 0 && right >= width && bottom >= height {
        return image;
    }
    let mut image = image.into_rgb8();
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if !(left..right).contains(&x) || !(top..bottom).contains(&y) {
            pixel.0 = frame.around;
        }
    }
    DynamicImage::ImageRgb8(image)
}

/// Where a GIF's first frame lies, and what PIL has around it.
struct Frame {
    /// Left, top, right, bottom.
    edges: [u32; 4],
    around: [u8; 3],
}

/// Source: the GIF89a specification.
fn first_frame(bytes: &[u8]) -> Option<Frame> {
    let table = |packed: u8, at: usize| {
        (packed & 0x80 != 0).then(|| at..at + (6 << (packed & 7)))
    };
    let global = table(*bytes.get(10)?, 13);
    let mut at = global.as_ref().map_or(13, |table| table.end);
    let mut around = 0;
    loop {
        match bytes.get(at)? {
            0x21 => {
                if bytes.get(at + 1) == Some(&0xf9) && bytes.get(at + 3)? & 1 != 0 {
                    around = usize::from(*bytes.get(at + 6)?);
                }
                at += 2;
                // Blocks with their lengths before them, to one of length 0.
                while let length @ 1.. = usize::from(*bytes.get(at)?) {
                    at += 1 + length;
                }
                at += 1;
            }
            0x2c => {
                let descriptor = bytes.get(at + 1..at + 10)?;
                let number = |k: usize| {
                    u32::from(u16::from_le_bytes([descriptor[k], descriptor[k + 1]]))
                };
                let [left, top, width, height] = [0, 2, 4, 6].map(number);
                let palette = table(descriptor[8], at + 10).or(global);
                let around = match palette
                    .map(|p| bytes.get(p.start + 3 * around..p.end).unwrap_or_default())
                {
                    Some([r, g, b, ..]) => [*r, *g, *b],
                    Some(_) => [0; 3],
                    None => [around as u8; 3],
                };
                return Some(Frame {
                    edges: [left, top, left + width, top + height],
                    around,
                });
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use crate::dataset::decode;

    #[test]
    fn pixels_are_those_of_pil() {
        // See tests/golden/formats.py.
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/formats.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut names: Vec<_> =
            file.names().into_iter().filter_map(|n| n.strip_suffix(" pixels")).collect();
        names.sort_unstable();
        assert!(names.len() >= 20, "{names:?}");
        for name in names {
            let image = file.tensor(&format!("{name} file")).unwrap();
            let theirs = file.tensor(&format!("{name} pixels")).unwrap();
            let ours = decode::rgb(image.data()).unwrap();
            assert_eq!(
                [ours.height, ours.width, ours.channels],
                theirs.shape(),
                "{name}"
            );
            assert!(ours.pixels == theirs.data(), "{name} differs");
            assert_eq!(
                decode::dimensions(image.data()).unwrap(),
                (ours.width, ours.height),
                "{name}"
            );
        }
    }
}
