//! What maps each level to another: invert, posterize, solarize, autocontrast, equalize,
//! as Pillow's ImageOps.

use super::image::Image;

type Table = [u8; 256];

/// Light to dark.
pub(super) fn invert(image: &Image) -> Image {
    mapped(image, |_| table(|x| 255 - x))
}

/// Only so many of the highest bits are kept.
pub(super) fn posterize(image: &Image, bits: u32) -> Image {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    mapped(image, |_| table(|x| x & mask))
}

/// Levels from the threshold on are inverted.
pub(super) fn solarize(image: &Image, threshold: f64) -> Image {
    mapped(image, |_| table(|x| if f64::from(x) < threshold { x } else { 255 - x }))
}

/// Each channel is stretched from its darkest to its lightest level.
pub(super) fn autocontrast(image: &Image) -> Image {
    mapped(image, |histogram| {
        let low = histogram.iter().position(|&n| n > 0).unwrap_or(0) as u8;
        let high = histogram.iter().rposition(|&n| n > 0).unwrap_or(0) as u8;
        if high <= low {
            return table(|x| x);
        }
        let scale = 255.0 / f64::from(high - low);
        let offset = -f64::from(low) * scale;
        table(|x| (f64::from(x) * scale + offset) as u8)
    })
}

/// Each channel's levels are spread so that all are about as frequent.
pub(super) fn equalize(image: &Image) -> Image {
    mapped(image, |histogram| {
        let total: usize = histogram.iter().sum();
        let last = histogram.iter().rfind(|&&n| n > 0).copied().unwrap_or(0);
        // One level only leaves 0 for the others.
        let step = (total - last) / 255;
        if step == 0 {
            return table(|x| x);
        }
        let mut sum = step / 2;
        std::array::from_fn(|x| {
            let level = (sum / step).min(255) as u8;
            sum += histogram[x];
            level
        })
    })
}

fn table(level: impl Fn(u8) -> u8) -> Table {
    std::array::from_fn(|x| level(x as u8))
}

/// Each channel through the table that its histogram gives.
fn mapped(image: &Image, of: impl Fn(&[usize; 256]) -> Table) -> Image {
    let channels = image.channels;
    let mut pixels = image.pixels.clone();
    for channel in 0..channels {
        let mut histogram = [0; 256];
        image
            .pixels
            .iter()
            .skip(channel)
            .step_by(channels)
            .for_each(|&x| histogram[usize::from(x)] += 1);
        let table = of(&histogram);
        pixels
            .iter_mut()
            .skip(channel)
            .step_by(channels)
            .for_each(|x| *x = table[usize::from(*x)]);
    }
    Image { pixels, ..*image }
}
