//! Brightness, contrast, saturation and sharpness, as in Pillow's ImageEnhance: a blend of
//! the image with one that lacks the property, in float32.

use super::luminance::{gray, gray_rgb};
use crate::transform::sample::Image;

/// The largest factor; a limit that excludes infinity.
pub(in crate::transform) const MAX_FACTOR: f64 = 1e6;

/// Factor 0 is black, 1 the image.
pub(in crate::transform) fn brightness(image: &Image, factor: f64) -> Image {
    blend(&vec![0; image.pixels.len()], image, factor)
}

/// Factor 0 is an even grey, the mean of the luminance; 1 the image.
pub(in crate::transform) fn contrast(image: &Image, factor: f64) -> Image {
    let luminance = gray(image).pixels;
    let sum: u64 = luminance.iter().map(|&l| u64::from(l)).sum();
    let mean = (sum as f64 / luminance.len() as f64 + 0.5) as u8;
    blend(&vec![mean; image.pixels.len()], image, factor)
}

/// Factor 0 is grey, 1 the image. An image of one channel has no saturation to change.
pub(in crate::transform) fn saturation(image: &Image, factor: f64) -> Image {
    match image.channels {
        3 => blend(&gray_rgb(image).pixels, image, factor),
        _ => image.clone(),
    }
}

/// Factor 0 is blurred, 1 the image, 2 sharper.
pub(in crate::transform) fn sharpness(image: &Image, factor: f64) -> Image {
    blend(&smooth(image), image, factor)
}

/// Pillow's SMOOTH: the weights 1 1 1, 1 5 1, 1 1 1 over 13, rounded. The outermost
/// pixels do not change.
fn smooth(image: &Image) -> Vec<u8> {
    let mut smoothed = image.pixels.clone();
    if image.width < 3 || image.height < 3 {
        return smoothed;
    }
    let channels = image.channels;
    let row = image.width * channels;
    for y in 1..image.height - 1 {
        let inner = y * row + channels..(y + 1) * row - channels;
        for (i, output) in inner.clone().zip(&mut smoothed[inner]) {
            let level = |i: usize| u32::from(image.pixels[i]);
            let line = |i: usize| level(i - channels) + level(i) + level(i + channels);
            let sum = line(i - row) + line(i) + line(i + row) + 4 * level(i);
            *output = ((2 * sum + 13) / 26) as u8;
        }
    }
    smoothed
}

/// `from + factor * (image - from)`, truncated, within 0 to 255.
fn blend(from: &[u8], image: &Image, factor: f64) -> Image {
    let factor = factor as f32;
    let mut pixels = Vec::with_capacity(from.len());
    for (&a, &b) in from.iter().zip(&image.pixels) {
        let (a, b) = (f32::from(a), f32::from(b));
        pixels.push((a + factor * (b - a)) as u8);
    }
    Image { pixels, ..*image }
}
