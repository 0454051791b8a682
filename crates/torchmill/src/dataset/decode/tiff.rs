//! TIFF to RGB, with PIL's pixels and PIL's refusals.
//!
//! PIL reads the tags itself and unpacks uncompressed samples; it leaves compressed
//! strips and tiles to libtiff. This does the same: [`directory`] reads the tags,
//! [`layout`] decides how samples are stored, [`plain`] and [`libtiff`] find the rows,
//! and [`unpack`] converts them to levels.

mod directory;
mod layout;
mod libtiff;
mod plain;
mod unpack;

use image::metadata::Orientation;

pub use directory::is_tiff;

use super::{Decoded, check_size, cmyk, orientation};
use crate::transform::Image;
use crate::{Error, Result};
use directory::Directory;
use layout::Layout;
use unpack::Mode;

/// A TIFF's width and height after its orientation is applied.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let (directory, layout) = read(bytes)?;
    let turned = orientation::is_on_its_side(orientation_of(&directory));
    let Layout { width, height, .. } = layout;
    Ok(if turned { (height, width) } else { (width, height) })
}

/// Decodes the first image of a TIFF to RGB, with its orientation applied. The warning is
/// an error that libtiff reported and continued after.
pub fn rgb(bytes: &[u8]) -> Result<Decoded> {
    let (directory, layout) = read(bytes)?;
    let mut canvas = Canvas::new(&layout);
    let warning = if layout.compression == 1 {
        plain::decode(bytes, &directory, &layout, &mut canvas).map(|()| None)
    } else {
        libtiff::decode(bytes, &directory, &layout, &mut canvas)?
    };
    let warning = warning.map_err(|reason| damaged(&reason))?;
    let pixels = canvas.to_rgb(&layout);
    let image = Image { width: layout.width, height: layout.height, channels: 3, pixels };
    Ok(Decoded { image: orientation::apply(image, orientation_of(&directory)), warning })
}

fn read(bytes: &[u8]) -> Result<(Directory, Layout)> {
    let read = || {
        let directory = Directory::read(bytes)?;
        let layout = Layout::new(&directory)?;
        Ok((directory, layout))
    };
    let (directory, layout) = read().map_err(|reason: String| {
        Error::failed(format_args!("is an unsupported TIFF: {reason}"))
    })?;
    check_size((layout.width, layout.height))?;
    Ok((directory, layout))
}

fn damaged(reason: &str) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as TIFF, it is damaged or truncated: {reason}"
    ))
}

fn orientation_of(directory: &Directory) -> Orientation {
    let value = directory.integer(layout::ORIENTATION).ok().flatten().unwrap_or(1);
    u8::try_from(value)
        .ok()
        .and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms)
}

/// The levels of an image; zero where the file has no samples, as in PIL.
struct Canvas {
    width: usize,
    /// Levels per pixel.
    depth: usize,
    levels: Vec<u8>,
}

impl Canvas {
    fn new(layout: &Layout) -> Self {
        let depth = layout.mode.levels();
        let levels = vec![0; layout.width * layout.height * depth];
        Self { width: layout.width, depth, levels }
    }

    /// `width` pixels of row `y` from column `x`.
    fn row(&mut self, x: usize, y: usize, width: usize) -> &mut [u8] {
        let start = (y * self.width + x) * self.depth;
        &mut self.levels[start..start + width * self.depth]
    }

    fn to_rgb(&self, layout: &Layout) -> Vec<u8> {
        let pixels = self.levels.chunks_exact(self.depth);
        match layout.mode {
            Mode::Grey | Mode::GreyAlpha => pixels.flat_map(|p| [p[0]; 3]).collect(),
            Mode::Palette => {
                let colour = |p: &[u8]| layout.palette.get(usize::from(p[0])).copied();
                pixels.flat_map(|p| colour(p).unwrap_or_default()).collect()
            }
            Mode::Rgb | Mode::Rgba => pixels.flat_map(|p| [p[0], p[1], p[2]]).collect(),
            Mode::Cmyk => {
                pixels.flat_map(|p| cmyk::to_rgb([p[0], p[1], p[2], p[3]])).collect()
            }
            Mode::YCbCr => {
                pixels.flat_map(|p| ycbcr_to_rgb([p[0], p[1], p[2]])).collect()
            }
        }
    }
}

/// PIL's `convert("RGB")` of YCbCr: factors in 64ths, which a cast to an integer has
/// rounded. Source: the JFIF standard.
fn ycbcr_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let term = |factor: f64, level: u8| {
        (64.0 * factor * f64::from(i32::from(level) - 128) + 0.5) as i32
    };
    let level = |sum: i32| (i32::from(y) + (sum >> 6)).clamp(0, 255) as u8;
    [
        level(term(1.402, cr)),
        level(term(-0.344_14, cb) + term(-0.714_14, cr)),
        level(term(1.772, cb)),
    ]
}
