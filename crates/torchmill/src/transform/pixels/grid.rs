//! Samples pixels at displaced positions, like torch's `grid_sample` (zeros outside,
//! `align_corners=False`), for torchvision's `F.elastic`.

use crate::Result;
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::sample::Image;

/// For each pixel, how far away its source is, as fractions of half the width and half
/// the height; both are `[height, width]`.
pub(in crate::transform) struct Displacement {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
}

/// torchvision's `F.elastic` on a PIL image.
pub(in crate::transform) fn displace(
    image: &Image,
    displacement: &Displacement,
    filter: Interpolation,
    fill: &Fill,
) -> Result<Image> {
    let Image { width, height, channels, .. } = *image;
    let fill = fill.channels(channels)?;
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let source_x = source(x, width, displacement.x[i]);
            let source_y = source(y, height, displacement.y[i]);
            let places = match filter {
                Interpolation::Nearest => nearest(source_x, source_y),
                _ => bilinear(source_x, source_y),
            };
            add_pixel(image, &places, &fill, filter, &mut pixels);
        }
    }
    Ok(Image { width, height, channels, pixels })
}

/// The coordinate of the source of pixel `i` of `n`.
fn source(i: usize, n: usize, displacement: f32) -> f32 {
    let at = (2.0 * i as f64 + 1.0 - n as f64) / n as f64;
    (at as f32 + displacement + 1.0) * (n as f32 / 2.0) - 0.5
}

/// A pixel and its weight.
type Place = (i64, i64, f32);

fn nearest(x: f32, y: f32) -> [Place; 4] {
    let place = (x.round_ties_even() as i64, y.round_ties_even() as i64, 1.0);
    [place, (-1, -1, 0.0), (-1, -1, 0.0), (-1, -1, 0.0)]
}

fn bilinear(x: f32, y: f32) -> [Place; 4] {
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let (left, top) = (left as i64, top as i64);
    [
        (left, top, (1.0 - dx) * (1.0 - dy)),
        (left + 1, top, dx * (1.0 - dy)),
        (left, top + 1, (1.0 - dx) * dy),
        (left + 1, top + 1, dx * dy),
    ]
}

/// Appends the weighted pixel. Positions outside count as zeros; the share of those
/// inside then decides how much of the fill is used.
fn add_pixel(
    image: &Image,
    places: &[Place; 4],
    fill: &[f64],
    filter: Interpolation,
    out: &mut Vec<u8>,
) {
    let inside = |&&(x, y, _): &&Place| {
        (0..image.width as i64).contains(&x) && (0..image.height as i64).contains(&y)
    };
    let inside: Vec<&Place> = places.iter().filter(inside).collect();
    let share: f32 = inside.iter().map(|(.., weight)| weight).sum();
    for (channel, &fill) in fill.iter().enumerate() {
        let level = |place: &&Place| {
            let (x, y, weight) = **place;
            let at = (y as usize * image.width + x as usize) * image.channels + channel;
            f32::from(image.pixels[at]) * weight
        };
        let value: f32 = inside.iter().map(level).sum();
        let fill = fill as f32;
        let value = match filter {
            Interpolation::Nearest if share < 0.5 => fill,
            Interpolation::Nearest => value,
            _ => (value - fill) * share + fill,
        };
        out.push(value.round_ties_even() as u8);
    }
}
