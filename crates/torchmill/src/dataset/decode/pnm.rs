//! PBM, PGM, PPM and grey PFM to RGB, with the pixels and the refusals of PIL's
//! PpmImagePlugin. Source: netpbm's descriptions of the formats.

use super::check_size;
use crate::transform::Image;
use crate::{Error, Result};

/// Whether these bytes begin as a PNM file does.
pub fn is_pnm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'6' | b'f', ..])
}

/// A PNM's width and height.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let header = read_header(bytes)?;
    Ok((header.width, header.height))
}

/// Decodes a PNM to RGB. As in PIL, levels are scaled to 255; in grey files of more than
/// 8 bits they are scaled to 65535 and then clipped to 255.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    let header = read_header(bytes)?;
    let levels = header.levels().map_err(|reason| damaged(&reason))?;
    let pixels = match header.channels() {
        1 => levels.iter().flat_map(|&level| [level; 3]).collect(),
        _ => levels,
    };
    Ok(Image { width: header.width, height: header.height, channels: 3, pixels })
}

fn read_header(bytes: &[u8]) -> Result<Header<'_>> {
    let header = Header::read(bytes).map_err(|reason| damaged(&reason))?;
    check_size((header.width, header.height))?;
    Ok(header)
}

fn damaged(reason: &str) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as PNM, it is damaged or truncated: {reason}"
    ))
}

const BLANKS: &[u8] = b" \t\n\x0b\x0c\r";
/// PIL reads text in blocks of this size, and checks each block as a whole.
const BLOCK: usize = 1 << 20;
/// Longer numbers are refused.
const MAX_TOKEN: usize = 10;

struct Header<'a> {
    /// The second byte: `1` to `6`, or `f`.
    kind: u8,
    width: usize,
    height: usize,
    /// The highest level (maxval); 1 for bits.
    highest: u32,
    /// The byte order of floating-point levels.
    little_endian: bool,
    /// What follows the header.
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        if !bytes.get(2).is_some_and(|byte| BLANKS.contains(byte)) {
            return Err("its kind is not read".to_owned());
        }
        let kind = bytes[1];
        let mut rest = &bytes[3..];
        let width = whole(&token(&mut rest)?)? as usize;
        let height = whole(&token(&mut rest)?)? as usize;
        let mut header =
            Self { kind, width, height, highest: 1, little_endian: false, data: rest };
        match kind {
            b'1' | b'4' => {}
            b'f' => {
                let scale = String::from_utf8_lossy(&token(&mut rest)?).parse::<f64>();
                let scale = scale.map_err(|_| "its scale is not a number")?;
                if scale == 0.0 || !scale.is_finite() {
                    return Err("its scale is not a number".to_owned());
                }
                header.little_endian = scale < 0.0;
            }
            _ => {
                header.highest = whole(&token(&mut rest)?)?;
                if !(1..=65535).contains(&header.highest) {
                    return Err("its highest level is not from 1 to 65535".to_owned());
                }
            }
        }
        header.data = rest;
        Ok(header)
    }

    fn channels(&self) -> usize {
        if matches!(self.kind, b'3' | b'6') { 3 } else { 1 }
    }

    fn levels(&self) -> Result<Vec<u8>, String> {
        let count = self.width * self.height * self.channels();
        match self.kind {
            b'1' => self.bits_as_text(count),
            b'2' | b'3' => self.levels_as_text(count),
            b'4' => self.bits(),
            b'f' => self.floats(count),
            _ => self.bytes(count),
        }
    }

    /// A level as PIL scales it.
    fn scale(&self, value: u32) -> u8 {
        let deep = self.channels() == 1 && self.highest > 255;
        let full = if deep { 65535.0 } else { 255.0 };
        let level = f64::from(value) / f64::from(self.highest) * full;
        level.round_ties_even().min(255.0) as u8
    }

    fn bits(&self) -> Result<Vec<u8>, String> {
        let row_bytes = self.width.div_ceil(8);
        let data = self.data.get(..row_bytes * self.height).ok_or_else(short)?;
        let mut levels = Vec::with_capacity(self.width * self.height);
        for row in data.chunks_exact(row_bytes) {
            let is_black = |x: usize| row[x / 8] >> (7 - x % 8) & 1 == 1;
            levels.extend((0..self.width).map(|x| if is_black(x) { 0 } else { 255 }));
        }
        Ok(levels)
    }

    fn bytes(&self, count: usize) -> Result<Vec<u8>, String> {
        if self.highest < 256 {
            let data = self.data.get(..count).ok_or_else(short)?;
            if self.highest == 255 {
                return Ok(data.to_vec());
            }
            return Ok(data.iter().map(|&v| self.scale(v.into())).collect());
        }
        let data = self.data.get(..2 * count).ok_or_else(short)?;
        let values = data.as_chunks().0.iter().map(|&pair| u16::from_be_bytes(pair));
        Ok(values.map(|value| self.scale(value.into())).collect())
    }

    /// 32-bit levels, from the bottom row up.
    fn floats(&self, count: usize) -> Result<Vec<u8>, String> {
        let data = self.data.get(..4 * count).ok_or_else(short)?;
        let mut levels = Vec::with_capacity(count);
        for row in data.chunks_exact(4 * self.width).rev() {
            for &four in row.as_chunks().0 {
                let value = if self.little_endian {
                    f32::from_le_bytes(four)
                } else {
                    f32::from_be_bytes(four)
                };
                // Rust's conversion clips, and turns NaN into 0.
                levels.push(value as u8);
            }
        }
        Ok(levels)
    }

    /// Digits 0 and 1, with or without blanks between them.
    fn bits_as_text(&self, count: usize) -> Result<Vec<u8>, String> {
        let mut levels = Vec::new();
        for block in without_comments(self.data).chunks(BLOCK) {
            for byte in block.iter().filter(|byte| !BLANKS.contains(byte)) {
                match byte {
                    b'0' => levels.push(255),
                    b'1' => levels.push(0),
                    _ => return Err("a bit is not 0 or 1".to_owned()),
                }
            }
            if levels.len() >= count {
                levels.truncate(count);
                return Ok(levels);
            }
        }
        Err(short())
    }

    fn levels_as_text(&self, count: usize) -> Result<Vec<u8>, String> {
        let text = without_comments(self.data);
        let mut levels = Vec::new();
        let words = text.split(|byte| BLANKS.contains(byte));
        for word in words.filter(|word| !word.is_empty()).take(count) {
            let value = whole(word)?;
            if value > self.highest {
                return Err(format!("the level {value} is above {}", self.highest));
            }
            levels.push(self.scale(value));
        }
        // PIL also checks the length of a number that is cut by the end of a block.
        let blank = text.iter().rposition(|byte| BLANKS.contains(byte));
        let last = text.len() - blank.map_or(0, |at| at + 1);
        if levels.len() < count || (text.len() <= BLOCK && last > MAX_TOKEN) {
            return Err(short());
        }
        Ok(levels)
    }
}

fn short() -> String {
    "it ends before its pixels do".to_owned()
}

/// The next word of the header. A comment, from `#` to the end of the line, may interrupt
/// it.
fn token(rest: &mut &[u8]) -> Result<Vec<u8>, String> {
    let mut token = Vec::new();
    while token.len() <= MAX_TOKEN {
        let Some((&byte, after)) = rest.split_first() else { break };
        *rest = after;
        if byte == b'#' {
            let end = after.iter().position(|byte| b"\r\n".contains(byte));
            *rest = end.map_or(&[][..], |end| &after[end + 1..]);
        } else if !BLANKS.contains(&byte) {
            token.push(byte);
        } else if !token.is_empty() {
            break;
        }
    }
    if token.is_empty() {
        return Err("it ends in its header".to_owned());
    }
    Ok(token)
}

/// A whole number of at most 10 digits.
fn whole(word: &[u8]) -> Result<u32, String> {
    let text = String::from_utf8_lossy(word);
    let digits = word.len() <= MAX_TOKEN && word.iter().all(u8::is_ascii_digit);
    let value = digits.then(|| text.parse().ok()).flatten();
    let shown: String = text.chars().take(20).collect();
    value.ok_or_else(|| format!("{shown:?} is not a whole number that can be read"))
}

/// The text without comments and the line ends that close them.
fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.iter().position(|&byte| byte == b'#') {
        kept.extend_from_slice(&rest[..start]);
        let comment = &rest[start..];
        let end = comment.iter().position(|byte| b"\r\n".contains(byte));
        rest = end.map_or(&[][..], |end| &comment[end + 1..]);
    }
    kept.extend_from_slice(rest);
    kept
}
