//! BMP to RGB, with the pixels and the refusals of PIL's BmpImagePlugin. Source: the
//! documentation of BITMAPINFOHEADER and its later versions.

use super::check_size;
use crate::transform::Image;
use crate::{Error, Result};

/// Whether these bytes begin as a BMP file does.
pub fn is_bmp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM")
}

/// A BMP's width and height.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let header = read_header(bytes)?;
    Ok((header.width, header.height))
}

/// Decodes a BMP to RGB; alpha is dropped.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    let header = read_header(bytes)?;
    let (width, height) = (header.width, header.height);
    let pixels = header.pixels(bytes).map_err(|reason| damaged(&reason))?;
    Ok(Image { width, height, channels: 3, pixels })
}

fn read_header(bytes: &[u8]) -> Result<Header> {
    let header = Header::read(bytes).map_err(|reason| damaged(&reason))?;
    check_size((header.width, header.height))?;
    Ok(header)
}

fn damaged(reason: &str) -> Error {
    Error::failed(format_args!("cannot be decoded as BMP: {reason}"))
}

/// Values of the header's compression field.
const RAW: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const BIT_FIELDS: u32 = 3;

struct Header {
    width: usize,
    height: usize,
    /// Whether the first row of the file is the top one.
    top_down: bool,
    bits: usize,
    compression: u32,
    /// Where the pixels begin.
    offset: usize,
    colours: Colours,
}

/// What the bits of a pixel mean.
enum Colours {
    /// An index into these colours; an index past the end is black.
    Palette(Vec<[u8; 3]>),
    /// Levels of grey: PIL treats a palette that is a grey ramp like this.
    Grey,
    /// One bit per pixel: PIL treats a palette of black and white like this.
    BlackAndWhite,
    /// 5, 5 and 5 bits, or 5, 6 and 5.
    Sixteen { green_bits: u32 },
    /// Bytes; the offsets of red, green and blue among them.
    Bytes([usize; 3]),
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let cut = "its header is cut short";
        let offset = u32_at(bytes, 10).ok_or(cut)? as usize;
        let size = u32_at(bytes, 14).ok_or(cut)? as usize;
        if !matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
            return Err(format!("a header of {size} bytes is not read"));
        }
        let end = 14 + size;
        let head = bytes.get(14..end).ok_or(cut)?;
        let mut header =
            if size == 12 { Self::of_os2(head) } else { Self::of_windows(head) };
        if !matches!(header.bits, 1 | 4 | 8 | 16 | 24 | 32) {
            return Err(format!("{} bits for each pixel are not read", header.bits));
        }
        let stored = if size == 12 { 0 } else { u32_at(head, 32).unwrap_or(0) as usize };
        let count = if stored == 0 { 1 << header.bits } else { stored };
        let entry = if size == 12 { 3 } else { 4 };
        header.offset = offset;
        if offset == end && header.bits <= 8 {
            header.offset = offset.saturating_add(entry * count);
        }
        let mut at = end;
        match header.compression {
            BIT_FIELDS => {
                let masks = masks(bytes, size)?;
                at += if size == 40 { 12 } else { 0 };
                header.colours = of_masks(header.bits, masks)?;
            }
            RAW | RLE8 | RLE4 => {}
            other => return Err(format!("its compression {other} is not read")),
        }
        if header.bits <= 8 {
            at = at.min(bytes.len());
            let palette = &bytes[at..at.saturating_add(entry * count).min(bytes.len())];
            header.colours = of_palette(palette, entry, count)?;
            at += palette.len();
        }
        if header.offset == 0 {
            header.offset = at;
        }
        Ok(header)
    }

    /// OS/2's first header: 16-bit numbers.
    fn of_os2(head: &[u8]) -> Self {
        let number =
            |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        Self::with_size(number(4), number(6), false, number(10), RAW)
    }

    fn of_windows(head: &[u8]) -> Self {
        let number = |at: usize| u32_at(head, at).unwrap_or(0);
        // PIL decides by the highest byte whether a height is negative.
        let top_down = head[11] == 0xff;
        let height = number(8);
        let height = if top_down { height.wrapping_neg() } else { height };
        let bits = usize::from(u16::from_le_bytes([head[14], head[15]]));
        let width = number(4) as usize;
        Self::with_size(width, height as usize, top_down, bits, number(16))
    }

    fn with_size(
        width: usize,
        height: usize,
        top_down: bool,
        bits: usize,
        compression: u32,
    ) -> Self {
        let colours = match bits {
            16 => Colours::Sixteen { green_bits: 5 },
            _ => Colours::Bytes([2, 1, 0]),
        };
        Self { width, height, top_down, bits, compression, offset: 0, colours }
    }

    fn pixels(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut pixels = vec![0; self.width * self.height * 3];
        let rows = pixels.chunks_exact_mut(self.width * 3);
        if matches!(self.compression, RLE8 | RLE4) {
            let indices = self.run_lengths(bytes);
            if indices.len() < self.width * self.height {
                return Err("it ends before its pixels do".to_owned());
            }
            let stored = indices.chunks_exact(self.width);
            return self.convert(rows, stored, 8).map(|()| pixels);
        }
        let used = match self.colours {
            Colours::BlackAndWhite => 1,
            Colours::Grey => 8,
            _ => self.bits,
        };
        // Rows are padded to 4 bytes.
        let stride = (self.width * self.bits).div_ceil(32) * 4;
        let row_bytes = (self.width * used).div_ceil(8);
        let needed = (self.height - 1) * stride + row_bytes;
        let end = self.offset.saturating_add(needed);
        let stored = bytes.get(self.offset..end).ok_or("it ends before its pixels do")?;
        if row_bytes > stride {
            return Err("its palette does not go with its pixels".to_owned());
        }
        self.convert(rows, stored.chunks(stride), used).map(|()| pixels)
    }

    /// Converts rows of `bits` bits per pixel. They are stored bottom-up unless the
    /// header says otherwise.
    fn convert<'a>(
        &self,
        rows: std::slice::ChunksExactMut<u8>,
        stored: impl Iterator<Item = &'a [u8]>,
        bits: usize,
    ) -> Result<(), String> {
        let is_run_lengths = matches!(self.compression, RLE8 | RLE4);
        if is_run_lengths && !matches!(self.colours, Colours::Palette(_) | Colours::Grey)
        {
            return Err("its compression does not go with its colours".to_owned());
        }
        let mut rows: Vec<_> = rows.collect();
        if !self.top_down {
            rows.reverse();
        }
        for (row, stored) in rows.into_iter().zip(stored) {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(&self.colour(stored, x, bits));
            }
        }
        Ok(())
    }

    /// The colour of pixel `x` of a row.
    fn colour(&self, row: &[u8], x: usize, bits: usize) -> [u8; 3] {
        let sample = |bits: usize| {
            let at = x * bits;
            row[at / 8] >> (8 - bits - at % 8) & (0xff >> (8 - bits))
        };
        match &self.colours {
            Colours::Palette(palette) => {
                palette.get(usize::from(sample(bits))).copied().unwrap_or_default()
            }
            Colours::Grey => [row[x]; 3],
            Colours::BlackAndWhite => [sample(1) * 255; 3],
            Colours::Sixteen { green_bits } => {
                let value = u32::from(u16::from_le_bytes([row[2 * x], row[2 * x + 1]]));
                let level = |value: u32, bits: u32| {
                    let most = (1 << bits) - 1;
                    ((value & most) * 255 / most) as u8
                };
                let red = level(value >> (5 + green_bits), 5);
                [red, level(value >> 5, *green_bits), level(value, 5)]
            }
            Colours::Bytes(places) => places.map(|place| row[x * bits / 8 + place]),
        }
    }

    /// Decodes run-length encoded pixels to indices, as far as the file has them. Skipped
    /// pixels have index 0.
    fn run_lengths(&self, bytes: &[u8]) -> Vec<u8> {
        let all = self.width * self.height;
        let mut indices = Vec::new();
        let (mut at, mut x) = (self.offset, 0);
        while indices.len() < all {
            let Some(&[count, value]) = bytes.get(at..at.saturating_add(2)) else {
                break;
            };
            at += 2;
            match (count, value) {
                (0, 0) => {
                    indices.resize(indices.len().next_multiple_of(self.width), 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let Some(&[right, up]) = bytes.get(at..at + 2) else { break };
                    at += 2;
                    let skipped = usize::from(right) + usize::from(up) * self.width;
                    indices.resize((indices.len() + skipped).min(all), 0);
                    x = indices.len() % self.width;
                }
                (0, count) => {
                    let wanted = usize::from(count).min(all - indices.len());
                    let length = if self.compression == RLE4 {
                        wanted.div_ceil(2)
                    } else {
                        wanted
                    };
                    let Some(stored) = bytes.get(at..at + length) else { break };
                    at += length;
                    let before = indices.len();
                    for &byte in stored {
                        if self.compression == RLE4 {
                            indices.extend([byte >> 4, byte & 15]);
                        } else {
                            indices.push(byte);
                        }
                    }
                    indices.truncate(before + wanted);
                    x += usize::from(count);
                    // Such runs are padded to an even offset in the file.
                    at += at % 2;
                }
                (count, value) => {
                    let count = usize::from(count).min(self.width.saturating_sub(x));
                    let pair = if self.compression == RLE4 {
                        [value >> 4, value & 15]
                    } else {
                        [value; 2]
                    };
                    indices.extend((0..count).map(|i| pair[i % 2]));
                    x += count;
                }
            }
        }
        indices
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The masks of red, green, blue and alpha, in the header or after it. Only the header's
/// third and later versions have an alpha mask.
fn masks(bytes: &[u8], size: usize) -> Result<[u32; 4], String> {
    let mut masks = [0; 4];
    let count = if size >= 56 { 4 } else { 3 };
    for (i, mask) in masks[..count].iter_mut().enumerate() {
        *mask = u32_at(bytes, 14 + 40 + 4 * i).ok_or("its header is cut short")?;
    }
    Ok(masks)
}

/// The pixel layout for these masks, if PIL supports it.
fn of_masks(bits: usize, masks: [u32; 4]) -> Result<Colours, String> {
    let [red, green, blue, _] = masks;
    Ok(match (bits, masks) {
        (32, [0xff_0000, 0xff00, 0xff, 0 | 0xff00_0000] | [0, 0, 0, 0]) => {
            Colours::Bytes([2, 1, 0])
        }
        (32, [0xff00_0000, 0xff_0000, 0xff00, 0 | 0xff]) => Colours::Bytes([3, 2, 1]),
        (32, [0xff00_0000, 0xff00, 0xff, 0 | 0xff_0000]) => Colours::Bytes([3, 1, 0]),
        (32, [0xff, 0xff00, 0xff_0000, 0xff00_0000]) => Colours::Bytes([0, 1, 2]),
        (24, [0xff_0000, 0xff00, 0xff, _]) => Colours::Bytes([2, 1, 0]),
        (16, [0xf800, 0x7e0, 0x1f, _]) => Colours::Sixteen { green_bits: 6 },
        (16, [0x7c00, 0x3e0, 0x1f, _]) => Colours::Sixteen { green_bits: 5 },
        _ => {
            return Err(format!(
                "{bits} bits with the masks {red:x}, {green:x}, {blue:x} are not read"
            ));
        }
    })
}

fn of_palette(palette: &[u8], entry: usize, count: usize) -> Result<Colours, String> {
    if !(1..=65536).contains(&count) {
        return Err(format!("a palette of {count} colours is not read"));
    }
    let ramp = |i: usize| if count == 2 { i * 255 } else { i };
    let is_ramp = (0..count).all(|i| {
        let colour = palette.get(i * entry..i * entry + 3).unwrap_or_default();
        !colour.is_empty() && colour.iter().all(|&level| usize::from(level) == ramp(i))
    });
    if is_ramp {
        return Ok(if count <= 2 { Colours::BlackAndWhite } else { Colours::Grey });
    }
    let colours = palette.chunks_exact(entry).map(|c| [c[2], c[1], c[0]]);
    if colours.len() > 256 {
        return Err(format!("a palette of {} colours is not read", colours.len()));
    }
    Ok(Colours::Palette(colours.collect()))
}
