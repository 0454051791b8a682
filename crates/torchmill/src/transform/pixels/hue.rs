//! Hue, through HSV in bytes, as in torchvision on PIL images.

use crate::transform::sample::Image;

/// Rotates the hue by a share of the circle from -0.5 to 0.5. An image with one channel
/// does not change.
pub(in crate::transform) fn hue(image: &Image, factor: f64) -> Image {
    if image.channels != 3 {
        return image.clone();
    }
    let turn = (factor * 255.0) as i32 as u8;
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for pixel in image.pixels.as_chunks::<3>().0 {
        let [h, s, v] = to_hsv(*pixel);
        pixels.extend(to_rgb([h.wrapping_add(turn), s, v]));
    }
    Image { pixels, ..*image }
}

/// As PIL's convert("HSV"): hue 0 to 255 for the whole circle, truncated.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let saturation = range / f32::from(most);
    let [rc, gc, bc] = [r, g, b].map(|x| f32::from(most - x) / range);
    let sixths = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = (f64::from(sixths) / 6.0 + 1.0).rem_euclid(1.0) as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// As PIL's convert("RGB") of it.
fn to_rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sixths = f64::from(f32::from(h)) * 6.0 / 255.0;
    let sector = sixths.floor();
    let part = f64::from((sixths - sector) as f32);
    let saturation = f64::from(f32::from(s) / 255.0);
    let value = f64::from(v);
    let level = |x: f64| x.round() as u8;
    let p = level(value * (1.0 - saturation));
    let q = level(value * (1.0 - saturation * part));
    let t = level(value * (1.0 - saturation * (1.0 - part)));
    match sector as u8 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}
