//! A contact sheet: small pictures in rows, with text, drawn without system fonts.

mod cjk;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::Cursor;

use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_7X13_BOLD, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::transform::Image;
use crate::{Error, Result};

/// The space between pictures and around the sheet, in pixels.
const GAP: u32 = 10;
/// For a sheet that is shown at its own size.
pub const NORMAL: Scale = Scale {
    font: &FONT_7X13,
    bold: &FONT_7X13_BOLD,
    line: 17,
    letter: 7,
    side: [96, 192],
};
/// For a sheet that is shown scaled down, as TensorBoard shows pictures: the text is
/// larger relative to the pictures.
pub const LARGE: Scale = Scale {
    font: &FONT_10X20,
    bold: &FONT_10X20,
    line: 22,
    letter: 10,
    side: [112, 144],
};
const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
const INK: Rgb888 = Rgb888::new(30, 30, 30);
const GREEN: Rgb888 = Rgb888::new(0, 110, 50);
const RED: Rgb888 = Rgb888::new(190, 20, 20);

/// The sizes of a sheet's text and pictures, in pixels.
pub struct Scale {
    font: &'static MonoFont<'static>,
    bold: &'static MonoFont<'static>,
    /// The height of a line of text.
    line: u32,
    /// The width of a character.
    letter: u32,
    /// The minimum and maximum length of a picture's longer side. Smaller pictures are
    /// enlarged by a whole factor, so that their pixels can be seen.
    side: [u32; 2],
}

/// A picture with its captions.
pub struct Picture {
    /// Of any size.
    pub image: RgbImage,
    /// One line each, cut to the picture's width.
    pub captions: Vec<Caption>,
}

/// A line under a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// The caption.
    pub text: String,
    /// `Some(true)` is drawn in green, `Some(false)` in red.
    pub right: Option<bool>,
}

/// Pictures with a heading.
pub struct Section {
    /// Wrapped to the sheet's width.
    pub heading: String,
    /// One above each column; may be empty.
    pub titles: Vec<String>,
    /// The number of pictures in a row.
    pub columns: usize,
    /// Row by row.
    pub pictures: Vec<Picture>,
}

/// Whether the fonts have all of this text: Latin-1 without control characters, and the
/// usual Chinese and Japanese characters.
pub fn can_write(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_latin(c) || cjk::bitmap(c).is_some())
}

fn is_latin(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{ff}')
}

impl Scale {
    /// The width of a text, in pixels.
    fn width(&self, text: &str) -> u32 {
        let mut width = 0;
        for character in text.chars() {
            width += if is_latin(character) { self.letter } else { cjk::SIZE };
        }
        width
    }
}

/// The class's name, or its number if the font cannot write the name.
pub fn class_name(classes: &[String], class: usize) -> String {
    match classes.get(class) {
        Some(name) if can_write(name) => name.clone(),
        _ => format!("class {class}"),
    }
}

/// Explains the numbers that replace class names that the font cannot write: `class 2 is
/// 狗, class 3 is 猫`. `None` if it can write them all.
pub fn numbered(
    classes: &[String],
    shown: impl IntoIterator<Item = usize>,
) -> Option<String> {
    let shown: BTreeSet<usize> = shown.into_iter().collect();
    let named = |class: &usize| {
        classes.get(*class).is_some_and(|name| !can_write(name) && !name.is_empty())
    };
    let shown = shown
        .into_iter()
        .filter(named)
        .map(|class| format!("class {class} is {}", classes[class]));
    let text = shown.collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// Converts an image to RGB; a single channel is used for all three.
pub fn to_rgb(image: &Image) -> RgbImage {
    rgb(image.width, image.height, |c, at| {
        let channel = c.min(image.channels.saturating_sub(1));
        image.pixels.get(at * image.channels + channel).copied().unwrap_or_default()
    })
}

/// Makes an RGB picture. `value` gets a channel from 0 to 2 and the index of a pixel,
/// counted row by row.
pub fn rgb(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> RgbImage {
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        Rgb([0, 1, 2].map(|c| value(c, at)))
    })
}

/// Draws the sections one below the other; returns a PNG.
pub fn draw(sections: &[Section], scale: &Scale) -> Result<Vec<u8>> {
    let sizes = sections
        .iter()
        .flat_map(|s| &s.pictures)
        .map(|p| p.image.width().max(p.image.height()));
    let [shortest, longest] = scale.side;
    let side = sizes.max().unwrap_or(0).clamp(shortest, longest);
    let columns = sections
        .iter()
        .map(|s| s.columns.min(s.pictures.len()))
        .max()
        .unwrap_or(0)
        .max(3) as u32;
    let width = GAP + columns * (side + GAP);
    let room = width - 2 * GAP;
    let heights = sections.iter().map(|s| height(s, side, room, scale));
    let height = GAP + heights.sum::<u32>();
    let mut sheet = Sheet(RgbImage::from_pixel(width, height, PAPER));
    let mut y = GAP;
    for section in sections {
        for line in lines(&section.heading, room, scale) {
            sheet.write(&line, GAP, y, scale.bold, INK);
            y += scale.line;
        }
        y += GAP / 2;
        let left = |column: usize| GAP + column as u32 * (side + GAP);
        if !section.titles.is_empty() {
            for (column, title) in section.titles.iter().enumerate() {
                sheet.write(title, left(column), y, scale.font, INK);
            }
            y += scale.line;
        }
        let captions = captions(section);
        for row in section.pictures.chunks(section.columns.max(1)) {
            for (column, picture) in row.iter().enumerate() {
                let fitted = fit(&picture.image, side);
                let (x, above) =
                    ((side - fitted.width()) / 2, (side - fitted.height()) / 2);
                imageops::overlay(
                    &mut sheet.0,
                    &fitted,
                    (left(column) + x).into(),
                    (y + above).into(),
                );
                for (caption, line) in picture.captions.iter().zip(0..) {
                    let ink = caption
                        .right
                        .map_or(INK, |right| if right { GREEN } else { RED });
                    let text = cut(&caption.text, side, scale);
                    sheet.write(
                        &text,
                        left(column),
                        y + side + 1 + line * scale.line,
                        scale.font,
                        ink,
                    );
                }
            }
            y += side + captions * scale.line + GAP;
        }
        y += GAP;
    }
    let mut png = Cursor::new(Vec::new());
    sheet
        .0
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|e| Error::failed(e).within("cannot make the PNG"))?;
    Ok(png.into_inner())
}

fn height(section: &Section, side: u32, room: u32, scale: &Scale) -> u32 {
    let line = scale.line;
    let rows = section.pictures.len().div_ceil(section.columns.max(1)) as u32;
    let text = lines(&section.heading, room, scale).len() as u32
        + u32::from(!section.titles.is_empty());
    text * line + GAP / 2 + rows * (side + captions(section) * line + GAP) + GAP
}

/// How many lines there is room for under each picture.
fn captions(section: &Section) -> u32 {
    section.pictures.iter().map(|picture| picture.captions.len()).max().unwrap_or(0)
        as u32
}

/// Scales the picture to fit a square of this side, keeping its aspect ratio.
fn fit(image: &RgbImage, side: u32) -> RgbImage {
    let longer = image.width().max(image.height()).max(1);
    let scaled =
        |n: u32| ((u64::from(n) * u64::from(side) / u64::from(longer)) as u32).max(1);
    if longer > side {
        return imageops::resize(
            image,
            scaled(image.width()),
            scaled(image.height()),
            FilterType::Triangle,
        );
    }
    let times = side / longer;
    imageops::resize(
        image,
        image.width() * times,
        image.height() * times,
        FilterType::Nearest,
    )
}

/// Wraps a text into lines of at most `room` pixels, at blanks if it has any.
fn lines(text: &str, room: u32, scale: &Scale) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or("", String::as_str);
        let joined =
            if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
        if scale.width(&joined) <= room {
            lines.pop();
            lines.push(joined);
            continue;
        }
        if last.is_empty() {
            lines.pop();
        }
        lines.extend(pieces(word, room, scale));
    }
    lines
}

/// Splits a word into pieces of at most `room` pixels, but at least one character.
fn pieces(word: &str, room: u32, scale: &Scale) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for character in word.chars() {
        let longer = format!("{piece}{character}");
        if scale.width(&longer) > room && !piece.is_empty() {
            pieces.push(piece);
            piece = character.to_string();
        } else {
            piece = longer;
        }
    }
    pieces.push(piece);
    pieces
}

/// Shortens a text to at most `room` pixels.
fn cut(text: &str, room: u32, scale: &Scale) -> String {
    if scale.width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if scale.width(&format!("{kept}{character}..")) > room {
            break;
        }
        kept.push(character);
    }
    kept + ".."
}

/// The sheet's image, for embedded-graphics to draw on.
pub(crate) struct Sheet(pub(crate) RgbImage);

impl Sheet {
    pub(crate) fn write(
        &mut self,
        text: &str,
        x: u32,
        y: u32,
        font: &MonoFont,
        ink: Rgb888,
    ) {
        let mut at = Point::new(x as i32, y as i32);
        let style = MonoTextStyle::new(font, ink);
        for character in text.chars() {
            if let Some(rows) = cjk::bitmap(character) {
                // Centred vertically in the line.
                let above = (font.character_size.height as i32 - cjk::SIZE as i32) / 2;
                self.write_bitmap(&rows, at + Point::new(0, above), ink);
                at.x += cjk::SIZE as i32;
                continue;
            }
            let mut buffer = [0; 4];
            let letter = character.encode_utf8(&mut buffer);
            // Drawing on it cannot fail.
            let _ = Text::with_baseline(letter, at, style, Baseline::Top).draw(self);
            at.x += font.character_size.width as i32;
        }
    }

    fn write_bitmap(&mut self, rows: &[u16], at: Point, ink: Rgb888) {
        for (row, y) in rows.iter().zip(0..) {
            for x in 0..cjk::SIZE as i32 {
                if row & (0x8000 >> x) != 0 {
                    // Drawing on it cannot fail.
                    let _ = self.draw_iter([Pixel(at + Point::new(x, y), ink)]);
                }
            }
        }
    }
}

impl OriginDimensions for Sheet {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Sheet {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            let at = (u32::try_from(at.x), u32::try_from(at.y));
            if let (Ok(x), Ok(y)) = at
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit() {
        assert_eq!(
            lines("train: Resize(32) | ToTensor", 12 * 7, &NORMAL),
            ["train:", "Resize(32) |", "ToTensor"]
        );
        assert_eq!(lines("abcdefgh ij", 3 * 7, &NORMAL), ["abc", "def", "gh", "ij"]);
        assert_eq!(cut("automobile", 6 * 7, &NORMAL), "auto..");
        assert_eq!(cut("\u{732b}\u{732b}\u{732b}", 32, &NORMAL), "\u{732b}..");
        assert!(
            can_write("Bär 1")
                && can_write("\u{732b} 1")
                && !can_write("\u{ac1c}")
                && !can_write("a\nb")
                && !can_write("")
        );
    }

    #[test]
    fn a_sheet_has_room_for_all_it_shows() {
        let caption = |right| Caption { text: "cat".into(), right };
        let picture = |w, h| Picture {
            image: RgbImage::from_pixel(w, h, Rgb([9, 99, 200])),
            captions: vec![caption(Some(true)), caption(None)],
        };
        let section = |pictures| Section {
            heading: "x ".repeat(200),
            titles: Vec::new(),
            columns: 3,
            pictures,
        };
        let sections = [section(vec![
            picture(28, 28),
            picture(3, 200),
            picture(1000, 2),
            picture(1, 1),
        ])];
        let sheet = image::load_from_memory(&draw(&sections, &NORMAL).unwrap())
            .unwrap()
            .to_rgb8();
        assert_eq!(sheet.width(), GAP + 3 * (192 + GAP));
        // The sheet's last row of pixels is blank, so the last caption is not cut off.
        assert!(
            (0..sheet.width()).all(|x| *sheet.get_pixel(x, sheet.height() - 1) == PAPER)
        );
        let label = sheet.rows().rev().skip(GAP as usize * 2).take(NORMAL.line as usize);
        assert!(label.flatten().any(|pixel| *pixel == Rgb([30, 30, 30])));
        assert!(sheet.pixels().any(|pixel| *pixel == Rgb([0, 110, 50])));
        assert!(sheet.pixels().any(|pixel| *pixel == Rgb([9, 99, 200])));
        draw(&[], &NORMAL).unwrap();
        let large = image::load_from_memory(&draw(&sections, &LARGE).unwrap()).unwrap();
        assert_eq!(large.width(), GAP + 3 * (144 + GAP));
    }

    #[test]
    fn what_the_font_cannot_write_is_a_number() {
        let classes = ["cat".to_owned(), "Bär".to_owned(), "\u{ac1c}".to_owned()];
        assert_eq!(
            [0, 1, 2, 3].map(|i| class_name(&classes, i)),
            ["cat", "Bär", "class 2", "class 3"]
        );
        assert_eq!(
            numbered(&classes, [2, 0, 3, 2]).as_deref(),
            Some("class 2 is \u{ac1c}")
        );
        assert_eq!(numbered(&classes, [0, 1]), None);
    }
}
