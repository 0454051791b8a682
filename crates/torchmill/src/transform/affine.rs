//! Moving pixels about: rotation, shear, scale and translation, sampled as Pillow's
//! `Image.transform` does.

use super::image::{Image, elements};
use super::types::{Fill, Interpolation};
use crate::Result;

/// Where an output pixel comes from: x = a X + b Y + c, y = d X + e Y + f, for `[a, b, c,
/// d, e, f]`.
pub(super) type Matrix = [f64; 6];

/// What torchvision's `F.affine` takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine {
    /// Degrees, clockwise.
    pub angle: f64,
    /// Pixels to the right and down.
    pub translate: [f64; 2],
    pub scale: f64,
    /// Degrees along x and y.
    pub shear: [f64; 2],
    /// x and y of what stays where it is; the middle where it is `None`.
    pub center: Option<[f64; 2]>,
}

impl Affine {
    pub(super) const IDENTITY: Self = Self {
        angle: 0.0,
        translate: [0.0; 2],
        scale: 1.0,
        shear: [0.0; 2],
        center: None,
    };

    /// The inverse of T C R(angle) S(scale) SHy SHx C^-1: translation, centre, rotation,
    /// scale, shears, as torchvision's documentation of `affine` defines them.
    fn inverse(&self, height: usize, width: usize) -> Matrix {
        let [cx, cy] = self.center.unwrap_or([width as f64 * 0.5, height as f64 * 0.5]);
        let [tx, ty] = self.translate;
        let rotation = self.angle.to_radians();
        let [sx, sy] = self.shear.map(f64::to_radians);
        // Rotation and shears; its determinant is 1.
        let a = (rotation - sy).cos() / sy.cos();
        let b = -(rotation - sy).cos() * sx.tan() / sy.cos() - rotation.sin();
        let c = (rotation - sy).sin() / sy.cos();
        let d = -(rotation - sy).sin() * sx.tan() / sy.cos() + rotation.cos();
        let [a, b, c, d] = [d, -b, -c, a].map(|x| x / self.scale);
        let x = a * (-cx - tx) + b * (-cy - ty) + cx;
        let y = c * (-cx - tx) + d * (-cy - ty) + cy;
        [a, b, x, c, d, y]
    }
}

/// torchvision's `F.affine` on a PIL image.
pub(super) fn affine(
    image: &Image,
    how: &Affine,
    filter: Interpolation,
    fill: &Fill,
) -> Result<Image> {
    warped(
        image,
        &how.inverse(image.height, image.width),
        image.height,
        image.width,
        filter,
        fill,
    )
}

/// torchvision's `F.rotate` on a PIL image: by `angle` degrees against the clock. With
/// `expand` all of the image stays inside.
pub(super) fn rotate(
    image: &Image,
    angle: f64,
    filter: Interpolation,
    expand: bool,
    center: Option<[f64; 2]>,
    fill: &Fill,
) -> Result<Image> {
    let (width, height) = (image.width, image.height);
    let angle = angle.rem_euclid(360.0);
    if center.is_none() {
        // Quarter turns are exact, where they fit.
        let turns = [90.0, 180.0, 270.0].iter().position(|&turn| turn == angle);
        match turns {
            _ if angle == 0.0 => return Ok(image.clone()),
            Some(1) => return Ok(turned(image, 2)),
            Some(turn) if expand || width == height => {
                return Ok(turned(image, turn + 1));
            }
            _ => {}
        }
    }
    let [cx, cy] = center.unwrap_or([width as f64 / 2.0, height as f64 / 2.0]);
    let radians = -angle.to_radians();
    let (cos, sin) = (fifteen_decimals(radians.cos()), fifteen_decimals(radians.sin()));
    let at = |x: f64, y: f64, [c, f]: [f64; 2]| {
        [cos * x + sin * y + c, -sin * x + cos * y + f]
    };
    let [x, y] = at(-cx, -cy, [0.0, 0.0]);
    let mut shift = [x + cx, y + cy];
    let (mut new_width, mut new_height) = (width, height);
    if expand {
        let (w, h) = (width as f64, height as f64);
        let corners =
            [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)].map(|(x, y)| at(x, y, shift));
        let extent = |axis: usize| {
            let along = corners.map(|c| c[axis]);
            let most = along.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let least = along.iter().copied().fold(f64::INFINITY, f64::min);
            most.ceil() - least.floor()
        };
        let (nw, nh) = (extent(0), extent(1));
        shift = at(-(nw - w) / 2.0, -(nh - h) / 2.0, shift);
        (new_width, new_height) = (nw as usize, nh as usize);
    }
    let matrix = [cos, sin, shift[0], -sin, cos, shift[1]];
    warped(image, &matrix, new_height, new_width, filter, fill)
}

/// Rounded as Python's `round(x, 15)`, which Pillow applies to its sines: it decides
/// where pixels fall at angles such as 90 degrees.
fn fifteen_decimals(x: f64) -> f64 {
    format!("{x:.15}").parse().unwrap_or(x)
}

/// Turned by so many quarters against the clock.
fn turned(image: &Image, quarters: usize) -> Image {
    let Image { width, height, channels, .. } = *image;
    let (new_width, new_height) =
        if quarters == 2 { (width, height) } else { (height, width) };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..new_height {
        for x in 0..new_width {
            let (from_x, from_y) = match quarters {
                1 => (width - 1 - y, x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (y, height - 1 - x),
            };
            pixels.extend_from_slice(
                &image.pixels[(from_y * width + from_x) * channels..][..channels],
            );
        }
    }
    Image { width: new_width, height: new_height, channels, pixels }
}

/// The image of this size whose pixels come from where the matrix says, the fill where
/// there is nothing.
fn warped(
    image: &Image,
    matrix: &Matrix,
    height: usize,
    width: usize,
    filter: Interpolation,
    fill: &Fill,
) -> Result<Image> {
    let channels = image.channels;
    elements(channels, height, width)?;
    let fill = fill.levels(channels)?;
    let mut pixels = Vec::with_capacity(channels * height * width);
    if filter == Interpolation::Nearest {
        nearest(image, matrix, height, width, |from| {
            pixels.extend_from_slice(
                from.map_or(&fill[..], |at| &image.pixels[at * channels..][..channels]),
            );
        });
        return Ok(Image { width, height, channels, pixels });
    }
    let [a, b, c, d, e, f] = *matrix;
    for row in 0..height {
        let y = row as f64 + 0.5;
        for column in 0..width {
            let x = column as f64 + 0.5;
            let (x, y) = (a * x + b * y + c, d * x + e * y + f);
            if !(x >= 0.0
                && x < image.width as f64
                && y >= 0.0
                && y < image.height as f64)
            {
                pixels.extend_from_slice(&fill);
            } else if filter == Interpolation::Bicubic {
                bicubic(image, x - 0.5, y - 0.5, &mut pixels);
            } else {
                bilinear(image, x - 0.5, y - 0.5, &mut pixels);
            }
        }
    }
    Ok(Image { width, height, channels, pixels })
}

/// Hands over, for each output pixel, which input pixel it is. Pillow computes this in
/// three ways, and for pixels whose centre falls on a border it matters which: added up
/// in floats where rows stay rows, in 16.16 fixed point where the coordinates fit,
/// otherwise in floats.
fn nearest(
    image: &Image,
    matrix: &Matrix,
    height: usize,
    width: usize,
    mut take: impl FnMut(Option<usize>),
) {
    let [a, b, c, d, e, f] = *matrix;
    let inside = |x: i64, y: i64| {
        let (w, h) = (image.width as i64, image.height as i64);
        ((0..w).contains(&x) && (0..h).contains(&y)).then(|| (y * w + x) as usize)
    };
    // What lies left of 0 must not be rounded up to it.
    let whole = |x: f64| if x < 0.0 { -1 } else { x as i64 };
    let (x0, y0) = (c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5);
    let fits = |x: usize, y: usize| {
        let (x, y) = (x as f64, y as f64);
        (x * a + y * b + c).abs() < 32768.0 && (x * d + y * e + f).abs() < 32768.0
    };
    let corners = [(0, 0), (width, height), (0, height), (width, 0)];
    if !(b == 0.0 && d == 0.0) && corners.iter().all(|&(x, y)| fits(x, y)) {
        let fixed = |x: f64| (x * 65536.0 + 0.5).floor() as i64;
        let [a, b, d, e] = [a, b, d, e].map(fixed);
        let (x0, y0) = (fixed(x0), fixed(y0));
        for row in 0..height as i64 {
            for column in 0..width as i64 {
                let (x, y) = (x0 + row * b + column * a, y0 + row * e + column * d);
                take(inside(x >> 16, y >> 16));
            }
        }
        return;
    }
    let (mut start_x, mut start_y) = (x0, y0);
    for _ in 0..height {
        let (mut x, mut y) = (start_x, start_y);
        for _ in 0..width {
            take(inside(whole(x), whole(y)));
            x += a;
            y += d;
        }
        start_x += b;
        start_y += e;
    }
}

/// The pixel at these whole coordinates, the outermost one beyond the border.
fn pixel(image: &Image, x: i64, y: i64) -> &[u8] {
    let x = x.clamp(0, image.width as i64 - 1) as usize;
    let y = y.clamp(0, image.height as i64 - 1) as usize;
    &image.pixels[(y * image.width + x) * image.channels..][..image.channels]
}

fn bilinear(image: &Image, x: f64, y: f64, out: &mut Vec<u8>) {
    let (dx, dy) = (x - x.floor(), y - y.floor());
    let (x, y) = (x.floor() as i64, y.floor() as i64);
    let [a, b] = [pixel(image, x, y), pixel(image, x + 1, y)];
    let [c, d] = [pixel(image, x, y + 1), pixel(image, x + 1, y + 1)];
    let mix = |a: f64, b: f64, t: f64| a + (b - a) * t;
    for i in 0..image.channels {
        let [a, b, c, d] = [a, b, c, d].map(|p| f64::from(p[i]));
        out.push(mix(mix(a, b, dx), mix(c, d, dx), dy) as u8);
    }
}

fn bicubic(image: &Image, x: f64, y: f64, out: &mut Vec<u8>) {
    let (dx, dy) = (x - x.floor(), y - y.floor());
    let (x, y) = (x.floor() as i64, y.floor() as i64);
    for i in 0..image.channels {
        let at = |dx: i64, dy: i64| f64::from(pixel(image, x + dx, y + dy)[i]);
        let row = |dy| cubic([at(-1, dy), at(0, dy), at(1, dy), at(2, dy)], dx);
        // The cast truncates, and stops at 0 and 255.
        out.push(cubic([row(-1), row(0), row(1), row(2)], dy) as u8);
    }
}

/// Cubic convolution with a = -1, between the second and the third value.
fn cubic([p, q, r, s]: [f64; 4], t: f64) -> f64 {
    q + t * (-p + r + t * (2.0 * (p - q) + r - s + t * (-p + q - r + s)))
}
