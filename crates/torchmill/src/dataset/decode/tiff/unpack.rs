//! Unpacks rows of packed samples to levels, as PIL's unpackers do.

/// What the levels of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Grey, 1 level.
    Grey,
    /// Grey with alpha, which is dropped.
    GreyAlpha,
    /// An index of the palette.
    Palette,
    Rgb,
    /// The alpha is kept as the fourth level.
    Rgba,
    Cmyk,
    YCbCr,
}

impl Mode {
    /// The number of levels kept per pixel.
    pub fn levels(self) -> usize {
        match self {
            Self::Grey | Self::GreyAlpha | Self::Palette => 1,
            _ => 4,
        }
    }

    /// The number of channels of PIL's mode.
    pub fn bands(self) -> usize {
        match self {
            Self::Grey | Self::Palette => 1,
            Self::GreyAlpha => 2,
            Self::Rgb | Self::YCbCr => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// How a pixel's samples are converted to levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacker {
    /// Bits per pixel.
    pub bits: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Samples of up to 8 bits, multiplied by `scale`.
    Bits { scale: u8, inverted: bool, reversed: bool },
    /// 12 bits, the high ones first.
    Twelve,
    /// 16 bits, clipped to 255.
    Sixteen { big: bool, signed: bool, reversed: bool },
    /// 32 bits, signed, clipped to 0..=255.
    Integer { big: bool },
    /// 32 bits, floating point, clipped to 0..=255 and truncated.
    Float { big: bool },
    /// The first sample of each pixel, a byte.
    First,
    /// `count` samples, `apart` bytes apart, the first at byte `from`.
    Samples { count: usize, apart: usize, from: usize, reversed: bool },
    /// RGB premultiplied by the alpha that follows.
    Associated { apart: usize, from: usize },
    /// One channel, of 8 or 16 bits.
    Band { band: usize, from: usize },
}

impl Unpacker {
    /// The unpacker of PIL's raw mode for this mode; `None` where PIL has none.
    pub fn find(mode: Mode, raw_mode: &str) -> Option<Self> {
        let kind = match mode {
            Mode::Grey => return grey(raw_mode),
            Mode::GreyAlpha if raw_mode == "LA" => (16, Kind::First),
            Mode::GreyAlpha => return None,
            Mode::Palette => return palette(raw_mode),
            Mode::Rgb | Mode::Rgba | Mode::Cmyk | Mode::YCbCr => {
                return colour(mode, raw_mode);
            }
        };
        Some(Self { bits: kind.0, kind: kind.1 })
    }

    /// The unpacker for one channel of planar samples that libtiff decodes.
    pub fn band(band: usize, sixteen_bits: bool) -> Self {
        let bits = if sixteen_bits { 16 } else { 8 };
        Self { bits, kind: Kind::Band { band, from: usize::from(sixteen_bits) } }
    }

    /// The unpacker for one channel of planar samples that are not compressed: PIL takes
    /// one letter of the raw mode for each channel.
    pub fn letter(mode: Mode, raw_mode: &str, channel: usize) -> Option<Self> {
        let letter = raw_mode.get(channel..=channel)?;
        let bands = match mode {
            Mode::Rgb => "RGB",
            Mode::Rgba => "RGBA",
            Mode::Cmyk => "CMYK",
            Mode::Grey if letter == "L" || letter == "1" => return grey(letter),
            Mode::Grey if letter == "F" => {
                return Some(Self { bits: 32, kind: Kind::Float { big: false } });
            }
            // PIL reads 32-bit integers in this machine's byte order, unless the image
            // has 16 bits.
            Mode::Grey if letter == "I" && raw_mode.starts_with("I;") => {
                let wide =
                    matches!(raw_mode, "I;16S" | "I;16BS" | "I;32N" | "I;32S" | "I;32BS");
                let integer = Self { bits: 32, kind: Kind::Integer { big: false } };
                return wide.then_some(integer);
            }
            Mode::Palette if letter == "P" && raw_mode != "PA" => return palette(letter),
            _ => return None,
        };
        Some(Self::band(bands.find(letter)?, false))
    }

    /// Bytes of a row of `width` pixels.
    pub fn row_bytes(self, width: usize) -> usize {
        (width * self.bits).div_ceil(8)
    }

    /// Unpacks a row to `levels` levels per pixel. The row has at least
    /// [`Unpacker::row_bytes`] bytes.
    pub fn unpack(self, row: &[u8], levels: usize, out: &mut [u8]) {
        let pixels = out.chunks_exact_mut(levels);
        match self.kind {
            Kind::Bits { scale, inverted, reversed } => {
                let most = ((1_u16 << self.bits) - 1) as u8;
                let samples = (0..).map(|i| sample(row, i, self.bits, reversed));
                for (pixel, value) in pixels.zip(samples) {
                    let value = if inverted { most - value } else { value };
                    pixel[0] = value * scale;
                }
            }
            Kind::Twelve => {
                for (i, pixel) in pixels.enumerate() {
                    let at = i / 2 * 3;
                    let value = if i % 2 == 0 {
                        u16::from(row[at]) << 4 | u16::from(row[at + 1] >> 4)
                    } else {
                        u16::from(row[at + 1] & 15) << 8 | u16::from(row[at + 2])
                    };
                    pixel[0] = value.min(255) as u8;
                }
            }
            Kind::Sixteen { big, signed, reversed } => {
                for (pixel, &pair) in pixels.zip(row.as_chunks().0) {
                    let pair = if reversed { pair.map(u8::reverse_bits) } else { pair };
                    let value = if big {
                        u16::from_be_bytes(pair)
                    } else {
                        u16::from_le_bytes(pair)
                    };
                    let negative = signed && value > i16::MAX as u16;
                    pixel[0] = if negative { 0 } else { value.min(255) as u8 };
                }
            }
            Kind::Integer { big } => {
                for (pixel, &four) in pixels.zip(row.as_chunks().0) {
                    let value = if big {
                        i32::from_be_bytes(four)
                    } else {
                        i32::from_le_bytes(four)
                    };
                    pixel[0] = value.clamp(0, 255) as u8;
                }
            }
            Kind::Float { big } => {
                for (pixel, &four) in pixels.zip(row.as_chunks().0) {
                    let value = if big {
                        f32::from_be_bytes(four)
                    } else {
                        f32::from_le_bytes(four)
                    };
                    // Rust's conversion clips, and turns NaN into 0.
                    pixel[0] = value as u8;
                }
            }
            Kind::First => {
                let samples = row.chunks_exact(self.bits / 8);
                pixels.zip(samples).for_each(|(pixel, samples)| pixel[0] = samples[0]);
            }
            Kind::Band { band, from } => {
                for (pixel, samples) in pixels.zip(row.chunks_exact(self.bits / 8)) {
                    // The alpha of grey is dropped.
                    if let Some(level) = pixel.get_mut(band) {
                        *level = samples[from];
                    }
                }
            }
            Kind::Samples { count, apart, from, reversed } => {
                for (pixel, samples) in pixels.zip(row.chunks_exact(self.bits / 8)) {
                    for (k, level) in pixel[..count].iter_mut().enumerate() {
                        let value = samples[k * apart + from];
                        *level = if reversed { value.reverse_bits() } else { value };
                    }
                }
            }
            Kind::Associated { apart, from } => {
                for (pixel, samples) in pixels.zip(row.chunks_exact(self.bits / 8)) {
                    for (k, level) in pixel[..4].iter_mut().enumerate() {
                        *level = samples[k * apart + from];
                    }
                    divide_by_alpha(pixel);
                }
            }
        }
    }
}

/// Divides the colour of an RGBA pixel by its alpha; a fully transparent pixel becomes
/// black.
pub fn divide_by_alpha(pixel: &mut [u8]) {
    let alpha = u32::from(pixel[3]);
    for level in &mut pixel[..3] {
        *level = match alpha {
            0 => 0,
            255 => *level,
            _ => (u32::from(*level) * 255 / alpha).min(255) as u8,
        };
    }
}

/// Sample `i` of a row of samples of 1, 2, 4 or 8 bits.
fn sample(row: &[u8], i: usize, bits: usize, reversed: bool) -> u8 {
    let at = i * bits;
    let byte = if reversed { row[at / 8].reverse_bits() } else { row[at / 8] };
    let shift = 8 - bits - at % 8;
    byte >> shift & (0xff >> (8 - bits))
}

fn grey(raw_mode: &str) -> Option<Unpacker> {
    let plain = |bits: usize, scale, flags: &str| Unpacker {
        bits,
        kind: Kind::Bits {
            scale,
            inverted: flags.contains('I'),
            reversed: flags.contains('R'),
        },
    };
    let other = |bits, kind| Unpacker { bits, kind };
    let sixteen = |big, signed, reversed| Kind::Sixteen { big, signed, reversed };
    Some(match raw_mode {
        "1" | "1;I" | "1;R" | "1;IR" => plain(1, 255, &raw_mode[1..]),
        "L;2" | "L;2I" | "L;2R" | "L;2IR" => plain(2, 0x55, &raw_mode[3..]),
        "L;4" | "L;4I" | "L;4R" | "L;4IR" => plain(4, 0x11, &raw_mode[3..]),
        "L" | "L;I" | "L;R" => plain(8, 1, &raw_mode[1..]),
        "LX" => other(16, Kind::First),
        "I;12" => other(12, Kind::Twelve),
        "I;16" => other(16, sixteen(false, false, false)),
        "I;16B" => other(16, sixteen(true, false, false)),
        "I;16R" => other(16, sixteen(false, false, true)),
        "I;16S" => other(16, sixteen(false, true, false)),
        "I;16BS" => other(16, sixteen(true, true, false)),
        "I;32N" | "I;32S" => other(32, Kind::Integer { big: false }),
        "I;32BS" => other(32, Kind::Integer { big: true }),
        "F;32F" => other(32, Kind::Float { big: false }),
        "F;32BF" => other(32, Kind::Float { big: true }),
        _ => return None,
    })
}

fn palette(raw_mode: &str) -> Option<Unpacker> {
    let indices = |bits, reversed| Unpacker {
        bits,
        kind: Kind::Bits { scale: 1, inverted: false, reversed },
    };
    Some(match raw_mode {
        "P;1" => indices(1, false),
        "P;2" => indices(2, false),
        "P;4" => indices(4, false),
        "P" => indices(8, false),
        "P;R" => indices(8, true),
        "PX" | "PA" => Unpacker { bits: 16, kind: Kind::First },
        _ => return None,
    })
}

fn colour(mode: Mode, raw_mode: &str) -> Option<Unpacker> {
    let count = if matches!(mode, Mode::Rgb | Mode::YCbCr) { 3 } else { 4 };
    let bytes = |stored: usize, reversed| Unpacker {
        bits: 8 * stored,
        kind: Kind::Samples { count, apart: 1, from: 0, reversed },
    };
    let pairs = |stored: usize, from| Unpacker {
        bits: 16 * stored,
        kind: Kind::Samples { count, apart: 2, from, reversed: false },
    };
    let associated =
        |bits, apart, from| Unpacker { bits, kind: Kind::Associated { apart, from } };
    Some(match raw_mode {
        "RGB" | "YCbCr" => bytes(3, false),
        "RGB;R" => bytes(3, true),
        "RGBX" | "RGBA" | "CMYK" => bytes(4, false),
        "RGBXX" | "RGBAX" | "CMYKX" => bytes(5, false),
        "RGBXXX" | "RGBAXX" | "CMYKXX" => bytes(6, false),
        "RGB;16L" => pairs(3, 1),
        "RGB;16B" => pairs(3, 0),
        "RGBX;16L" | "RGBA;16L" | "CMYK;16L" => pairs(4, 1),
        "RGBX;16B" | "RGBA;16B" | "CMYK;16B" => pairs(4, 0),
        "RGBa" => associated(32, 1, 0),
        "RGBaX" => associated(40, 1, 0),
        "RGBaXX" => associated(48, 1, 0),
        "RGBa;16L" => associated(64, 2, 1),
        "RGBa;16B" => associated(64, 2, 0),
        _ => return None,
    })
}
