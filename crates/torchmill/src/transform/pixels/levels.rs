//! Operations that map each level to another, as in Pillow's ImageOps: invert, posterize,
//! solarize, autocontrast, equalize.

use crate::transform::sample::Image;

type Table = [u8; 256];

/// Inverts the levels.
pub(in crate::transform) fn invert(image: &Image) -> Image {
    mapped(image, |_| table(|x| 255 - x))
}

/// Keeps this many of the highest bits.
pub(in crate::transform) fn posterize(image: &Image, bits: u32) -> Image {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    mapped(image, |_| table(|x| x & mask))
}

/// Inverts the levels from the threshold on.
pub(in crate::transform) fn solarize(image: &Image, threshold: f64) -> Image {
    mapped(image, |_| table(|x| if f64::from(x) < threshold { x } else { 255 - x }))
}

/// Stretches each channel from its darkest to its lightest level.
pub(in crate::transform) fn autocontrast(image: &Image) -> Image {
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

/// Spreads the levels of each channel so that all are about equally frequent.
pub(in crate::transform) fn equalize(image: &Image) -> Image {
    mapped(image, |histogram| {
        let total: usize = histogram.iter().sum();
        let last = histogram.iter().rfind(|&&n| n > 0).copied().unwrap_or(0);
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

/// Maps each channel through the table that `table` makes of its histogram.
fn mapped(image: &Image, table: impl Fn(&[usize; 256]) -> Table) -> Image {
    let channels = image.channels;
    let mut pixels = image.pixels.clone();
    for channel in 0..channels {
        let mut histogram = [0; 256];
        for &level in image.pixels.iter().skip(channel).step_by(channels) {
            histogram[usize::from(level)] += 1;
        }
        let table = table(&histogram);
        for level in pixels.iter_mut().skip(channel).step_by(channels) {
            *level = table[usize::from(*level)];
        }
    }
    Image { pixels, ..*image }
}
