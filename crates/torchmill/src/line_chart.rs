//! A chart of lines as a PNG, drawn without system fonts.

use std::io::Cursor;

use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_9X15, FONT_10X20};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line as Segment, PrimitiveStyle};
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::contact_sheet::Sheet;
use crate::{Error, Result};

const WIDTH: u32 = 1080;
const HEIGHT: u32 = 640;
const LEFT: u32 = 90;
const RIGHT: u32 = 30;
const TOP: u32 = 80;
const BOTTOM: u32 = 70;
/// Lines are drawn at this scale and then reduced, so that they are smooth. With a larger
/// one, embedded-graphics overflows.
const SCALE: u32 = 2;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb888 = Rgb888::new(29, 29, 31);
const SOFT: Rgb888 = Rgb888::new(89, 89, 96);
const RULE: Rgb888 = Rgb888::new(223, 223, 228);

/// What a chart shows. Positions are fractions of the plot area, from 0 at the left or
/// bottom to 1 at the right or top.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// The first line of text.
    pub title: String,
    /// The second line of text.
    pub subtitle: String,
    /// The label of the horizontal axis.
    pub x_label: String,
    /// Positions on the horizontal axis, with their text.
    pub x_ticks: Vec<(f64, String)>,
    /// Positions on the vertical axis, with their text. Each has a grid line.
    pub y_ticks: Vec<(f64, String)>,
    /// The lines, drawn one after the other.
    pub lines: Vec<Line>,
}

/// A line through points.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its points, horizontal position first.
    pub points: Vec<(f64, f64)>,
    /// Red, green and blue.
    pub colour: [u8; 3],
    /// In pixels, at most 4.
    pub width: u32,
}

/// Draws the chart and returns a PNG.
///
/// # Errors
/// If the PNG cannot be made.
pub fn draw(chart: &Chart) -> Result<Vec<u8>> {
    let mut sheet = Sheet(with_lines(chart));
    let written = |sheet: &mut Sheet, text: &str, x: u32, y: u32, font, ink| {
        sheet.write(text, x, y, font, ink);
    };
    written(&mut sheet, &chart.title, LEFT, 16, &FONT_10X20, INK);
    written(&mut sheet, &chart.subtitle, LEFT, 42, &FONT_9X15, SOFT);
    let bottom = HEIGHT - BOTTOM;
    for (share, text) in &chart.y_ticks {
        let x = LEFT.saturating_sub(10 + width(text, &FONT_9X15));
        written(&mut sheet, text, x, y(*share) - 7, &FONT_9X15, SOFT);
    }
    for (share, text) in &chart.x_ticks {
        let left = x(*share).saturating_sub(width(text, &FONT_9X15) / 2);
        written(&mut sheet, text, left, bottom + 10, &FONT_9X15, SOFT);
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2;
    let left = middle - width(&chart.x_label, &FONT_9X15) / 2;
    written(&mut sheet, &chart.x_label, left, bottom + 38, &FONT_9X15, SOFT);
    let mut png = Cursor::new(Vec::new());
    sheet
        .0
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|e| Error::failed(e).within("cannot make the PNG"))?;
    Ok(png.into_inner())
}

/// The grid lines and the lines, without text.
fn with_lines(chart: &Chart) -> RgbImage {
    let size = (WIDTH * SCALE, HEIGHT * SCALE);
    let mut large = Sheet(RgbImage::from_pixel(size.0, size.1, PAPER));
    let mut segment = |from: (u32, u32), to: (u32, u32), colour, width| {
        let point = |(x, y): (u32, u32)| Point::new(x as i32, y as i32);
        let style = PrimitiveStyle::with_stroke(colour, width * SCALE);
        // Drawing on it cannot fail.
        let _ = Segment::new(point(from), point(to)).into_styled(style).draw(&mut large);
    };
    for (share, _) in &chart.y_ticks {
        let height = y(*share) * SCALE;
        let right = (WIDTH - RIGHT) * SCALE;
        segment((LEFT * SCALE, height), (right, height), RULE, 1);
    }
    for line in &chart.lines {
        let [red, green, blue] = line.colour;
        for pair in line.points.windows(2) {
            if pair.iter().any(|(across, up)| !across.is_finite() || !up.is_finite()) {
                continue;
            }
            let from = scaled(pair[0]);
            let to = scaled(pair[1]);
            segment(from, to, Rgb888::new(red, green, blue), line.width);
        }
    }
    imageops::resize(&large.0, WIDTH, HEIGHT, FilterType::Triangle)
}

/// The position of a point in the enlarged drawing.
fn scaled((across, up): (f64, f64)) -> (u32, u32) {
    let area = |from: u32, to: u32, share: f64| {
        let length = f64::from((to - from) * SCALE);
        f64::from(from * SCALE) + share.clamp(0.0, 1.0) * length
    };
    let left = area(LEFT, WIDTH - RIGHT, across);
    let top = area(TOP, HEIGHT - BOTTOM, 1.0 - up);
    (left as u32, top as u32)
}

/// A horizontal position, in pixels.
fn x(share: f64) -> u32 {
    scaled((share, 0.0)).0 / SCALE
}

/// A vertical position, in pixels.
fn y(share: f64) -> u32 {
    scaled((0.0, share)).1 / SCALE
}

fn width(text: &str, font: &MonoFont) -> u32 {
    text.chars().count() as u32 * font.character_size.width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_lines_and_texts_where_they_belong() {
        let line = Line {
            points: vec![(0.0, 0.0), (1.0, 1.0), (2.0, f64::NAN)],
            colour: [200, 0, 0],
            width: 4,
        };
        let chart = Chart {
            title: "title".into(),
            x_ticks: vec![(0.5, "1e-3".into())],
            y_ticks: vec![(0.0, "0.25".into()), (1.0, "1".into())],
            lines: vec![line],
            ..Chart::default()
        };
        let png = draw(&chart).unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (WIDTH, HEIGHT));
        // The middle of the diagonal.
        assert_eq!(image.get_pixel(x(0.5), y(0.5)).0, [200, 0, 0]);
        let inked = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            y.into_iter().any(|y| x.clone().any(|x| image.get_pixel(x, y).0[0] < 120))
        };
        assert!(
            inked(LEFT..LEFT + 50, 16..36) && inked(40..LEFT - 5, y(0.0) - 8..y(0.0) + 8)
        );
        assert!(inked(
            x(0.5) - 18..x(0.5) + 18,
            HEIGHT - BOTTOM + 10..HEIGHT - BOTTOM + 25
        ));
        draw(&Chart::default()).unwrap();
    }
}
