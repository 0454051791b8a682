//! Rotation, shear, scale and translation, sampled like Pillow's `Image.transform`.

use crate::Result;
use crate::transform::argument::{Checked, InvalidArgument};
use crate::transform::argument_types::{Fill, Interpolation};
use crate::transform::sample::{Image, SampleSpec, elements};

/// The largest angle and coordinate; a limit that excludes infinity.
pub(in crate::transform) const MAX_COORDINATE: f64 = 1e6;

/// Rejects tensors, and fill values that do not fit the channels.
pub(in crate::transform) fn check_warp(fill: &Fill, input: SampleSpec) -> Result<()> {
    fill.check(input.require_image()?)
}

/// Rejects a centre that is far outside the image.
pub(in crate::transform) fn check_center(center: Option<[f64; 2]>) -> Checked {
    match center {
        Some(center) if center.iter().any(|x| x.abs() > MAX_COORDINATE) => {
            Err(InvalidArgument::new("center", "is far outside"))
        }
        _ => Ok(()),
    }
}

/// `[a, b, c, d, e, f]`: the output pixel (X, Y) comes from x = a X + b Y + c and
/// y = d X + e Y + f.
type Matrix = [f64; 6];

/// The parameters of torchvision's `F.affine`.
#[derive(Debug, Clone, Copy)]
pub(in crate::transform) struct Affine {
    /// Degrees, clockwise.
    pub angle: f64,
    /// Pixels to the right and down.
    pub translate: [f64; 2],
    pub scale: f64,
    /// Degrees along x and y.
    pub shear: [f64; 2],
    /// x and y of the fixed point; `None` for the middle.
    pub center: Option<[f64; 2]>,
}

impl Affine {
    pub(in crate::transform) const IDENTITY: Self = Self {
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
pub(in crate::transform) fn affine(
    image: &Image,
    change: &Affine,
    filter: Interpolation,
    fill: &Fill,
) -> Result<Image> {
    let size = [image.height, image.width];
    let matrix = change.inverse(image.height, image.width);
    warp(image, &matrix, size, filter, fill)
}

/// The parameters of torchvision's `F.rotate`.
#[derive(Debug, Clone, Copy)]
pub(in crate::transform) struct Rotation {
    /// Degrees, counter-clockwise.
    pub angle: f64,
    /// Whether the result grows to contain the whole image.
    pub expand: bool,
    /// x and y of the fixed point; `None` for the middle.
    pub center: Option<[f64; 2]>,
}

/// torchvision's `F.rotate` on a PIL image.
pub(in crate::transform) fn rotate(
    image: &Image,
    rotation: Rotation,
    filter: Interpolation,
    fill: &Fill,
) -> Result<Image> {
    let angle = rotation.angle.rem_euclid(360.0);
    if let Some(quarters) = quarter_turns(image, rotation, angle) {
        return Ok(turn(image, quarters));
    }
    let (width, height) = (image.width as f64, image.height as f64);
    let [cx, cy] = rotation.center.unwrap_or([width / 2.0, height / 2.0]);
    let radians = -angle.to_radians();
    let cos = round_to_15_decimals(radians.cos());
    let sin = round_to_15_decimals(radians.sin());
    let rotated = |x: f64, y: f64, [c, f]: [f64; 2]| {
        [cos * x + sin * y + c, -sin * x + cos * y + f]
    };
    let [x, y] = rotated(-cx, -cy, [0.0, 0.0]);
    let mut shift = [x + cx, y + cy];
    let mut size = [image.height, image.width];
    if rotation.expand {
        let corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
            .map(|(x, y)| rotated(x, y, shift));
        let new_width = extent(corners.map(|c| c[0]));
        let new_height = extent(corners.map(|c| c[1]));
        let (dx, dy) = ((new_width - width) / 2.0, (new_height - height) / 2.0);
        shift = rotated(-dx, -dy, shift);
        size = [new_height as usize, new_width as usize];
    }
    let matrix = [cos, sin, shift[0], -sin, cos, shift[1]];
    warp(image, &matrix, size, filter, fill)
}

/// The number of quarter turns of a rotation about the middle, if it is one that Pillow
/// makes by copying pixels. `angle` is from 0 to 360.
fn quarter_turns(image: &Image, rotation: Rotation, angle: f64) -> Option<usize> {
    if rotation.center.is_some() {
        return None;
    }
    let fits = rotation.expand || image.width == image.height;
    match angle {
        0.0 => Some(0),
        180.0 => Some(2),
        90.0 if fits => Some(1),
        270.0 if fits => Some(3),
        _ => None,
    }
}

/// The whole pixels that these coordinates cover.
fn extent(coordinates: [f64; 4]) -> f64 {
    let most = coordinates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = coordinates.iter().copied().fold(f64::INFINITY, f64::min);
    most.ceil() - least.floor()
}

/// Python's `round(x, 15)`, which Pillow applies to sine and cosine. It decides where the
/// pixels of a rotation by 90 degrees come from.
fn round_to_15_decimals(x: f64) -> f64 {
    format!("{x:.15}").parse().unwrap_or(x)
}

/// Turns an image counter-clockwise by this many quarters, 0 to 3.
fn turn(image: &Image, quarters: usize) -> Image {
    let Image { width, height, channels, .. } = *image;
    let (new_width, new_height) =
        if quarters.is_multiple_of(2) { (width, height) } else { (height, width) };
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..new_height {
        for x in 0..new_width {
            let (source_x, source_y) = match quarters {
                0 => (x, y),
                1 => (width - 1 - y, x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (y, height - 1 - x),
            };
            let source = (source_y * width + source_x) * channels;
            pixels.extend_from_slice(&image.pixels[source..][..channels]);
        }
    }
    Image { width: new_width, height: new_height, channels, pixels }
}

/// The image of size `[height, width]` whose pixels come from where the matrix says.
/// Pixels from outside have the fill value.
fn warp(
    image: &Image,
    matrix: &Matrix,
    [height, width]: [usize; 2],
    filter: Interpolation,
    fill: &Fill,
) -> Result<Image> {
    let channels = image.channels;
    elements(channels, height, width)?;
    let fill = fill.levels(channels)?;
    let mut pixels = Vec::with_capacity(channels * height * width);
    if filter == Interpolation::Nearest {
        nearest(image, matrix, [height, width], |source| {
            let pixel = match source {
                Some(i) => &image.pixels[i * channels..][..channels],
                None => &fill,
            };
            pixels.extend_from_slice(pixel);
        });
        return Ok(Image { width, height, channels, pixels });
    }
    let [a, b, c, d, e, f] = *matrix;
    let source = |x: f64, y: f64| (a * x + b * y + c, d * x + e * y + f);
    Ok(sample_levels(image, [height, width], filter, &fill, source))
}

/// The image of size `[height, width]` whose pixels come from where `source` says, given
/// the coordinates of their centres. Pixels from outside have the fill value.
pub(in crate::transform) fn sample(
    image: &Image,
    size: [usize; 2],
    filter: Interpolation,
    fill: &Fill,
    source: impl Fn(f64, f64) -> (f64, f64),
) -> Result<Image> {
    elements(image.channels, size[0], size[1])?;
    let fill = fill.levels(image.channels)?;
    Ok(sample_levels(image, size, filter, &fill, source))
}

fn sample_levels(
    image: &Image,
    [height, width]: [usize; 2],
    filter: Interpolation,
    fill: &[u8],
    source: impl Fn(f64, f64) -> (f64, f64),
) -> Image {
    let channels = image.channels;
    let mut pixels = Vec::with_capacity(channels * height * width);
    let xs = 0.0..image.width as f64;
    let ys = 0.0..image.height as f64;
    for row in 0..height {
        for column in 0..width {
            let (x, y) = source(column as f64 + 0.5, row as f64 + 0.5);
            if !xs.contains(&x) || !ys.contains(&y) {
                pixels.extend_from_slice(fill);
                continue;
            }
            match filter {
                Interpolation::Nearest => {
                    pixels.extend_from_slice(pixel(image, x as i64, y as i64));
                }
                Interpolation::Bicubic => {
                    bicubic(image, x - 0.5, y - 0.5, &mut pixels);
                }
                _ => bilinear(image, x - 0.5, y - 0.5, &mut pixels),
            }
        }
    }
    Image { width, height, channels, pixels }
}

/// Calls `take` for each output pixel with the index of the input pixel, or `None` if that
/// is outside.
///
/// Pillow computes the coordinates in three ways, which differ for pixels whose centre is
/// on a border: in floats that are added up if rows stay rows, in 16.16 fixed point if
/// the coordinates fit, and otherwise in floats.
fn nearest(
    image: &Image,
    matrix: &Matrix,
    [height, width]: [usize; 2],
    take: impl FnMut(Option<usize>),
) {
    let [a, b, c, d, e, f] = *matrix;
    let fits = |x: usize, y: usize| {
        let (x, y) = (x as f64, y as f64);
        (x * a + y * b + c).abs() < 32768.0 && (x * d + y * e + f).abs() < 32768.0
    };
    let corners = [(0, 0), (width, height), (0, height), (width, 0)];
    let rows_stay_rows = b == 0.0 && d == 0.0;
    if !rows_stay_rows && corners.iter().all(|&(x, y)| fits(x, y)) {
        nearest_in_fixed_point(image, matrix, [height, width], take);
    } else {
        nearest_in_floats(image, matrix, [height, width], take);
    }
}

/// The coordinates of the source of the centre of the first output pixel.
fn first_source([a, b, c, d, e, f]: Matrix) -> (f64, f64) {
    (c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5)
}

/// The index of a pixel, or `None` if it is outside the image.
fn index(image: &Image, x: i64, y: i64) -> Option<usize> {
    let (width, height) = (image.width as i64, image.height as i64);
    let is_inside = (0..width).contains(&x) && (0..height).contains(&y);
    is_inside.then(|| (y * width + x) as usize)
}

fn nearest_in_fixed_point(
    image: &Image,
    matrix: &Matrix,
    [height, width]: [usize; 2],
    mut take: impl FnMut(Option<usize>),
) {
    let fixed = |x: f64| (x * 65536.0 + 0.5).floor() as i64;
    let [a, b, _, d, e, _] = matrix.map(fixed);
    let (x, y) = first_source(*matrix);
    let (x, y) = (fixed(x), fixed(y));
    for row in 0..height as i64 {
        for column in 0..width as i64 {
            let x = x + row * b + column * a;
            let y = y + row * e + column * d;
            take(index(image, x >> 16, y >> 16));
        }
    }
}

fn nearest_in_floats(
    image: &Image,
    matrix: &Matrix,
    [height, width]: [usize; 2],
    mut take: impl FnMut(Option<usize>),
) {
    let [a, b, _, d, e, _] = *matrix;
    // A plain cast would round coordinates from -1 to 0 up to 0.
    let whole = |x: f64| if x < 0.0 { -1 } else { x as i64 };
    let (mut row_x, mut row_y) = first_source(*matrix);
    for _ in 0..height {
        let (mut x, mut y) = (row_x, row_y);
        for _ in 0..width {
            take(index(image, whole(x), whole(y)));
            x += a;
            y += d;
        }
        row_x += b;
        row_y += e;
    }
}

/// The pixel at these coordinates, or the nearest one on the border.
fn pixel(image: &Image, x: i64, y: i64) -> &[u8] {
    let x = x.clamp(0, image.width as i64 - 1) as usize;
    let y = y.clamp(0, image.height as i64 - 1) as usize;
    &image.pixels[(y * image.width + x) * image.channels..][..image.channels]
}

/// Appends the pixel at these coordinates, interpolated between 2 x 2 pixels.
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

/// Appends the pixel at these coordinates, interpolated between 4 x 4 pixels.
fn bicubic(image: &Image, x: f64, y: f64, out: &mut Vec<u8>) {
    let (dx, dy) = (x - x.floor(), y - y.floor());
    let (x, y) = (x.floor() as i64, y.floor() as i64);
    for i in 0..image.channels {
        let at = |dx: i64, dy: i64| f64::from(pixel(image, x + dx, y + dy)[i]);
        let row = |dy| cubic([at(-1, dy), at(0, dy), at(1, dy), at(2, dy)], dx);
        // The cast truncates and saturates.
        out.push(cubic([row(-1), row(0), row(1), row(2)], dy) as u8);
    }
}

/// Cubic convolution with a = -1, between the second and the third value.
fn cubic([p, q, r, s]: [f64; 4], t: f64) -> f64 {
    q + t * (-p + r + t * (2.0 * (p - q) + r - s + t * (-p + q - r + s)))
}
