//! `--show`: one image after the pipeline, with its label, drawn with characters.

use std::env;
use std::fmt::Write;
use std::io;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use torchmill::progress::counted;
use torchmill::transform::Sample;
use torchmill::{Error, Result, cli, terminal};

use crate::auto_normalize;
use crate::config::Config;
use crate::job::{Failure, Job};
use crate::preview;

/// The maximum width of a picture, in pixels.
const WIDEST: u32 = 80;
const HIGHEST: u32 = 64;
/// Characters from dark to bright.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// The upper half block: two pixels, one above the other.
const HALVES: char = '\u{2580}';

/// Prints image `index` of the first split, drawn as in the first epoch.
///
/// # Errors
/// If the split has no such image, or it cannot be read.
pub fn print(index: usize, jobs: &mut [Job], config: &Config) -> Result<()> {
    auto_normalize::fill_in(jobs, config)?;
    let Some(job) = jobs.first() else { return Ok(()) };
    check(index, job)?;
    let original = job.image(index).map_err(|failure| match failure {
        Failure::Bad(error) | Failure::Other(error) => error,
    })?;
    let sample = preview::draw(job, index, 0, &original)?;
    cli::print(describe(job, index, &sample).as_bytes())?;
    let picture = preview::to_picture(&sample, &job.pipeline.whole);
    let stdout = io::stdout();
    let columns = terminal::columns(&stdout).map_or(WIDEST, u32::from).min(WIDEST);
    if terminal::colours(&stdout) && terminal::unicode() {
        cli::print_styled(&in_colours(&fitted(&picture, columns)))
    } else {
        // Two characters per pixel make it a square.
        cli::print_styled(&in_shades(&fitted(&picture, columns / 2)))
    }
}

/// Refuses an index beyond a split's images.
pub fn check(index: usize, job: &Job) -> Result<()> {
    let count = job.samples.len();
    if index < count {
        return Ok(());
    }
    Err(Error::usage(format_args!(
        "--show {index}: the split {} has {}, numbered from 0",
        job.split,
        counted(count as u64, "image", "images")
    )))
}

/// The image's split, index, label and class; its shape, and where it came from.
fn describe(job: &Job, index: usize, sample: &Sample) -> String {
    let label = job.samples[index].label as usize;
    let class = job.set.classes.get(label).map_or("", String::as_str);
    let kind = match sample {
        Sample::Image(_) => "uint8",
        Sample::Tensor(_) => "float32",
    };
    format!(
        "{} image {index}: label {label}, {class}\n{:?} {kind}, from {}\n",
        job.split,
        sample.shape(),
        job.location(index)
    )
}

/// Scales a picture to fit into this many columns. Small pictures are enlarged by a whole
/// factor.
fn fitted(picture: &RgbImage, columns: u32) -> RgbImage {
    let width = picture.width().max(1);
    let height = picture.height().max(1);
    let times = (columns / width).min(HIGHEST / height);
    if times >= 1 {
        let (width, height) = (width * times, height * times);
        return imageops::resize(picture, width, height, FilterType::Nearest);
    }
    let across = f64::from(columns.max(1)) / f64::from(width);
    let down = f64::from(HIGHEST) / f64::from(height);
    let share = across.min(down);
    let side = |pixels: u32| ((f64::from(pixels) * share) as u32).max(1);
    imageops::resize(picture, side(width), side(height), FilterType::Triangle)
}

/// Draws two rows of pixels per line: the upper one in the colour of the character, the
/// lower one in the colour of its background.
fn in_colours(picture: &RgbImage) -> String {
    let exact = env::var("COLORTERM").is_ok_and(|c| c == "truecolor" || c == "24bit");
    let mut text = String::new();
    for y in (0..picture.height()).step_by(2) {
        for x in 0..picture.width() {
            let upper = colour(picture.get_pixel(x, y), exact);
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[38;{upper}m");
            if let Some(pixel) = picture.get_pixel_checked(x, y + 1) {
                let _ = write!(text, "\x1b[48;{}m", colour(pixel, exact));
            }
            text.push(HALVES);
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

/// A colour's terminal code: exact, or the nearest of xterm's 6 levels per channel.
fn colour(&Rgb([red, green, blue]): &Rgb<u8>, exact: bool) -> String {
    if exact {
        return format!("2;{red};{green};{blue}");
    }
    let level = |value: u8| (u32::from(value) * 5 + 127) / 255;
    format!("5;{}", 16 + 36 * level(red) + 6 * level(green) + level(blue))
}

/// Draws each pixel as two characters, chosen by its brightness.
fn in_shades(picture: &RgbImage) -> String {
    let mut text = String::new();
    for row in picture.rows() {
        let mut line = String::new();
        for &Rgb([red, green, blue]) in row {
            // ITU-R BT.601's luma.
            let luma =
                299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
            let shade = SHADES[(luma * (SHADES.len() as u32 - 1) / 255_000) as usize];
            line.push(shade);
            line.push(shade);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pictures_are_enlarged_and_large_ones_reduced() {
        let size = |width, height, columns| {
            fitted(&RgbImage::new(width, height), columns).dimensions()
        };
        assert_eq!(size(28, 28, 40), (28, 28));
        assert_eq!(size(28, 28, 80), (56, 56));
        assert_eq!(size(1, 1, 80), (64, 64));
        assert_eq!(size(640, 480, 80), (80, 60));
        assert_eq!(size(10, 5000, 80), (1, 64));
    }

    #[test]
    fn a_picture_is_drawn_in_shades_and_colours() {
        let mut picture = RgbImage::new(2, 3);
        picture.put_pixel(0, 0, Rgb([255; 3]));
        picture.put_pixel(1, 1, Rgb([130; 3]));
        assert_eq!(in_shades(&picture), "@@\n  ==\n\n");
        let coloured = in_colours(&picture);
        assert_eq!(coloured.lines().count(), 2);
        assert_eq!(coloured.matches(HALVES).count(), 4);
        // The last line has no lower pixel.
        assert!(!coloured.lines().last().unwrap().contains("[48;"));
    }

    #[test]
    fn colours_are_those_of_the_terminal() {
        assert_eq!(colour(&Rgb([1, 2, 3]), true), "2;1;2;3");
        assert_eq!(colour(&Rgb([0, 0, 0]), false), "5;16");
        assert_eq!(colour(&Rgb([255, 255, 255]), false), "5;231");
        assert_eq!(colour(&Rgb([255, 0, 0]), false), "5;196");
    }
}
