//! How a TIFF's samples are stored, found from its tags with PIL's table of modes. Kinds
//! that PIL does not read are refused.

use super::directory::Directory;
use super::unpack::{Mode, Unpacker};

/// Tags.
pub const WIDTH: u16 = 256;
pub const HEIGHT: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
pub const STRIP_OFFSETS: u16 = 273;
pub const ORIENTATION: u16 = 274;
const SAMPLES_PER_PIXEL: u16 = 277;
pub const ROWS_PER_STRIP: u16 = 278;
const PLANAR_CONFIGURATION: u16 = 284;
const COLOR_MAP: u16 = 320;
pub const TILE_WIDTH: u16 = 322;
pub const TILE_LENGTH: u16 = 323;
pub const TILE_OFFSETS: u16 = 324;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const WINDOWS_MEDIA_PHOTO: u16 = 0xbc01;

/// Values of the tags.
const OLD_JPEG: i64 = 6;
const JPEG: i64 = 7;
const YCBCR: i64 = 6;
/// The compressions that PIL knows; libtiff may not be able to read all of them.
const COMPRESSIONS: [i64; 17] = [
    1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000, 50001,
];
/// More samples for a pixel than PIL reads.
const MAX_SAMPLES: i64 = 6;

/// How the samples of an image are stored.
#[derive(Debug)]
pub struct Layout {
    pub width: usize,
    pub height: usize,
    /// 1 means uncompressed.
    pub compression: i64,
    /// Whether each channel has its own strips or tiles.
    pub planar: bool,
    pub mode: Mode,
    /// How to unpack the samples of a pixel, all channels together.
    pub unpacker: Unpacker,
    /// PIL's name for it, such as `RGB;16L`. For planar files PIL uses one letter of it
    /// per channel.
    pub raw_mode: &'static str,
    /// Bits per pixel, all channels together.
    pub bits_per_pixel: usize,
    /// The number of channels that PIL counts.
    pub channels: usize,
    /// RGB of each index.
    pub palette: Vec<[u8; 3]>,
}

/// The tags that decide what the samples are.
struct Kind {
    big_endian: bool,
    photometric: i64,
    format: Vec<i64>,
    fill_order: i64,
    bits: Vec<i64>,
    extra: Vec<i64>,
}

impl Layout {
    pub fn new(directory: &Directory) -> Result<Self, String> {
        if directory.contains(WINDOWS_MEDIA_PHOTO) {
            return Err("it is a Windows Media Photo".to_owned());
        }
        let compression = directory.integer(COMPRESSION)?.unwrap_or(1);
        if !COMPRESSIONS.contains(&compression) {
            return Err(format!("its compression {compression} is not read"));
        }
        let planar = directory.integer(PLANAR_CONFIGURATION)?.unwrap_or(1) == 2;
        let (mut kind, channels) = kind(directory, compression, planar)?;
        let bits_per_pixel = kind.bits.iter().sum::<i64>() as usize;
        let mut found = kind.find().ok_or_else(|| kind.unknown())?;
        if compression != 1 {
            // libtiff reverses the bits itself.
            kind.fill_order = 1;
            found = kind.find().ok_or_else(|| kind.unknown())?;
            found = of_libtiff(found, &kind, compression, planar);
        }
        let (mode, raw_mode) = found;
        let size = |tag: u16| -> Result<usize, String> {
            let value = directory.integer(tag)?.ok_or("it has no size")?;
            usize::try_from(value).map_err(|_| "its size is negative".to_owned())
        };
        let mut palette = Vec::new();
        if matches!(mode, Mode::Palette) {
            let levels = directory.integers(COLOR_MAP)?.ok_or("it has no palette")?;
            palette = palette_of(levels);
        }
        Ok(Self {
            width: size(WIDTH)?,
            height: size(HEIGHT)?,
            compression,
            planar,
            mode,
            unpacker: Unpacker::find(mode, raw_mode).ok_or_else(|| kind.unknown())?,
            raw_mode,
            bits_per_pixel,
            channels,
            palette,
        })
    }
}

/// The tags that decide what the samples are, with PIL's amendments, and the number of
/// channels.
fn kind(
    directory: &Directory,
    compression: i64,
    planar: bool,
) -> Result<(Kind, usize), String> {
    let mut photometric = 0;
    // PIL ignores the tag if it has several values.
    if directory.count(PHOTOMETRIC) <= 1 {
        photometric = directory.integer(PHOTOMETRIC)?.unwrap_or(0);
    }
    if compression == OLD_JPEG {
        photometric = YCBCR;
    }
    let mut format = directory.integers(SAMPLE_FORMAT)?.unwrap_or(&[1]).to_vec();
    if format.iter().all(|&f| f == format[0]) {
        format.truncate(1);
    }
    let mut bits = directory.integers(BITS_PER_SAMPLE)?.unwrap_or(&[1]).to_vec();
    let mut extra = directory.integers(EXTRA_SAMPLES)?.unwrap_or(&[]).to_vec();
    let old_colour = compression == OLD_JPEG && matches!(photometric, 2 | 6);
    let default = if old_colour { 3 } else { 1 };
    let mut samples = directory.integer(SAMPLES_PER_PIXEL)?.unwrap_or(default);
    let colours = match photometric {
        2 | 6 | 8 => 3,
        5 => 4,
        _ => 1,
    };
    if planar && extra.iter().max() == Some(&0) {
        bits.truncate(bits.len().saturating_sub(extra.len()));
        samples -= extra.len() as i64;
        extra.clear();
    }
    let channels = colours + extra.len();
    if samples > MAX_SAMPLES {
        return Err(format!("its {samples} samples for each pixel are too many"));
    }
    let samples = usize::try_from(samples).unwrap_or(0);
    if samples < bits.len() {
        bits.truncate(samples);
    } else if bits.len() == 1 {
        bits.resize(samples, bits[0]);
    }
    if bits.len() != samples {
        return Err("its numbers of samples contradict each other".to_owned());
    }
    let fill_order = directory.integer(FILL_ORDER)?.unwrap_or(1);
    let big_endian = directory.big_endian;
    Ok((Kind { big_endian, photometric, format, fill_order, bits, extra }, channels))
}

/// PIL's mode and raw mode where libtiff decodes: its samples are in this machine's byte
/// order, and YCbCr is converted to RGB.
fn of_libtiff(
    (mode, raw_mode): (Mode, &'static str),
    kind: &Kind,
    compression: i64,
    planar: bool,
) -> (Mode, &'static str) {
    if kind.photometric == YCBCR {
        let plain = compression == JPEG && !planar;
        return (Mode::Rgb, if plain { "RGB" } else { "RGBX" });
    }
    let raw_mode = match raw_mode {
        "I;16B" => "I;16",
        "RGB;16B" => "RGB;16L",
        "RGBA;16B" => "RGBA;16L",
        "RGBX;16B" => "RGBX;16L",
        "RGBa;16B" => "RGBa;16L",
        "CMYK;16B" => "CMYK;16L",
        other => other,
    };
    (mode, raw_mode)
}

fn palette_of(levels: &[i64]) -> Vec<[u8; 3]> {
    let third = levels.len() / 3;
    let level = |at: usize| (levels[at] >> 8) as u8;
    (0..third).map(|i| [level(i), level(third + i), level(2 * third + i)]).collect()
}

impl Kind {
    fn unknown(&self) -> String {
        if self.photometric == 8 {
            return "its colours are CIE L*a*b*; convert it to RGB".to_owned();
        }
        format!(
            "its kind is not read: photometric interpretation {}, bits {:?}, sample \
             format {:?}, extra samples {:?}, fill order {}",
            self.photometric, self.bits, self.format, self.extra, self.fill_order
        )
    }

    /// PIL's mode and raw mode.
    fn find(&self) -> Option<(Mode, &'static str)> {
        let &[format] = &self.format[..] else { return None };
        if !matches!(self.fill_order, 1 | 2) {
            return None;
        }
        let (bits, count) = (self.bits.first().copied()?, self.bits.len());
        if self.bits.iter().any(|&b| b != bits) {
            return None;
        }
        let reversed = self.fill_order == 2;
        if self.extra.is_empty() && count == 1 {
            return self.single(format, bits, reversed);
        }
        if format != 1 || (reversed && (self.photometric, bits, count) != (2, 8, 3)) {
            return None;
        }
        match bits {
            8 => self.of_8_bits(count, reversed),
            16 => self.of_16_bits(count),
            _ => None,
        }
    }

    /// One sample for each pixel.
    fn single(
        &self,
        format: i64,
        bits: i64,
        reversed: bool,
    ) -> Option<(Mode, &'static str)> {
        let inverted = self.photometric == 0;
        match (self.photometric, format) {
            (0 | 1, 1) if bits <= 8 => {
                let names = match (bits, inverted, reversed) {
                    (1, false, false) => "1",
                    (1, false, true) => "1;R",
                    (1, true, false) => "1;I",
                    (1, true, true) => "1;IR",
                    (2, false, false) => "L;2",
                    (2, false, true) => "L;2R",
                    (2, true, false) => "L;2I",
                    (2, true, true) => "L;2IR",
                    (4, false, false) => "L;4",
                    (4, false, true) => "L;4R",
                    (4, true, false) => "L;4I",
                    (4, true, true) => "L;4IR",
                    (8, false, false) => "L",
                    (8, false, true) => "L;R",
                    (8, true, false) => "L;I",
                    (8, true, true) => "L;IR",
                    _ => return None,
                };
                Some((Mode::Grey, names))
            }
            (0 | 1, _) => self.deep(format, bits, reversed),
            (3, 1) => {
                let name = match (bits, reversed) {
                    (1, false) => "P;1",
                    (1, true) => "P;1R",
                    (2, false) => "P;2",
                    (2, true) => "P;2R",
                    (4, false) => "P;4",
                    (4, true) => "P;4R",
                    (8, false) => "P",
                    (8, true) => "P;R",
                    _ => return None,
                };
                Some((Mode::Palette, name))
            }
            (6, 1) if bits == 8 && !reversed => Some((Mode::Grey, "L")),
            _ => None,
        }
    }

    /// One sample of more than 8 bits, or a signed or floating-point one.
    fn deep(
        &self,
        format: i64,
        bits: i64,
        reversed: bool,
    ) -> Option<(Mode, &'static str)> {
        let name = match (self.big_endian, self.photometric, format, bits) {
            (false, 1, 1, 16) if reversed => "I;16R",
            _ if reversed => return None,
            (_, 1, 2, 8) => "L",
            (false, 1, 1, 12) => "I;12",
            (false, 0 | 1, 1, 16) => "I;16",
            (true, 1, 1, 16) => "I;16B",
            (false, 1, 2, 16) => "I;16S",
            (true, 1, 2, 16) => "I;16BS",
            (false, 1, 1, 32) => "I;32N",
            (false, 1, 2, 32) => "I;32S",
            (true, 1, 2, 32) => "I;32BS",
            (false, 0 | 1, 3, 32) => "F;32F",
            (true, 0 | 1, 3, 32) => "F;32BF",
            _ => return None,
        };
        Some((Mode::Grey, name))
    }

    fn of_8_bits(&self, count: usize, reversed: bool) -> Option<(Mode, &'static str)> {
        Some(match (self.photometric, count, &self.extra[..]) {
            (1, 2, [0]) => (Mode::Grey, "LX"),
            (1, 2, [2]) => (Mode::GreyAlpha, "LA"),
            (2, 3, []) if reversed => (Mode::Rgb, "RGB;R"),
            (2, 3, []) => (Mode::Rgb, "RGB"),
            (2, 4, [] | [2 | 999]) => (Mode::Rgba, "RGBA"),
            (2, 4, [0]) => (Mode::Rgb, "RGBX"),
            (2, 5, [0, 0]) => (Mode::Rgb, "RGBXX"),
            (2, 6, [0, 0, 0]) => (Mode::Rgb, "RGBXXX"),
            (2, 4, [1]) => (Mode::Rgba, "RGBa"),
            (2, 5, [1, 0]) => (Mode::Rgba, "RGBaX"),
            (2, 6, [1, 0, 0]) => (Mode::Rgba, "RGBaXX"),
            (2, 5, [2, 0]) => (Mode::Rgba, "RGBAX"),
            (2, 6, [2, 0, 0]) => (Mode::Rgba, "RGBAXX"),
            (3, 2, [0]) => (Mode::Palette, "PX"),
            (3, 2, [2]) => (Mode::Palette, "PA"),
            (5, 4, []) => (Mode::Cmyk, "CMYK"),
            (5, 5, [0]) => (Mode::Cmyk, "CMYKX"),
            (5, 6, [0, 0]) => (Mode::Cmyk, "CMYKXX"),
            (6, 3, []) => (Mode::YCbCr, "YCbCr"),
            _ => return None,
        })
    }

    fn of_16_bits(&self, count: usize) -> Option<(Mode, &'static str)> {
        let (mode, little, big) = match (self.photometric, count, &self.extra[..]) {
            (2, 3, []) => (Mode::Rgb, "RGB;16L", "RGB;16B"),
            (2, 4, [] | [2]) => (Mode::Rgba, "RGBA;16L", "RGBA;16B"),
            (2, 4, [0]) => (Mode::Rgb, "RGBX;16L", "RGBX;16B"),
            (2, 4, [1]) => (Mode::Rgba, "RGBa;16L", "RGBa;16B"),
            (5, 4, []) => (Mode::Cmyk, "CMYK;16L", "CMYK;16B"),
            _ => return None,
        };
        Some((mode, if self.big_endian { big } else { little }))
    }
}
