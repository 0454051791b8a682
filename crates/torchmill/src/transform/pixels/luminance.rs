//! Grey images.

use crate::transform::sample::Image;

/// One channel of luminance.
pub(in crate::transform) fn gray(image: &Image) -> Image {
    let pixels = match image.channels {
        3 => image.pixels.chunks_exact(3).map(|p| luminance(p[0], p[1], p[2])).collect(),
        _ => image.pixels.clone(),
    };
    Image { channels: 1, pixels, ..*image }
}

/// Three equal channels of luminance.
pub(in crate::transform) fn gray_rgb(image: &Image) -> Image {
    let pixels = gray(image).pixels.iter().flat_map(|&l| [l; 3]).collect();
    Image { channels: 3, pixels, ..*image }
}

/// 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, rounded, as in PIL's
/// `convert("L")`.
fn luminance(r: u8, g: u8, b: u8) -> u8 {
    let sum = u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471;
    ((sum + 0x8000) >> 16) as u8
}
