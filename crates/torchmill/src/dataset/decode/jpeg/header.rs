//! The segments of a JPEG before its first scan, with the checks that PIL makes of them
//! before libjpeg sees the file. Source: PIL's JpegImagePlugin, and ITU-T T.81, annex B.

/// What the segments before the first scan contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey), 3 (colour) or 4 (CMYK).
    pub channels: usize,
    /// Whether it is coded without loss. libjpeg decodes such an image only as a whole.
    pub is_lossless: bool,
    /// Whether it is coded in several scans of increasing detail.
    pub is_progressive: bool,
    /// The EXIF data, in the format of a TIFF file.
    pub exif: Option<&'a [u8]>,
    /// The XMP data.
    pub xmp: Option<&'a [u8]>,
}

/// Codes of markers, the byte after 0xff.
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DHP: u8 = 0xde;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP13: u8 = 0xed;
const APP14: u8 = 0xee;

/// Reads the segments up to the first scan. The error says why PIL refuses the file.
pub fn read(bytes: &[u8]) -> Result<Header<'_>, String> {
    let mut reader =
        Reader { rest: bytes, header: None, exif: None, xmp: None, profiles: vec![] };
    while let Some(marker) = reader.next_marker()? {
        match marker {
            SOI | EOI | 0xc8 | 0xd0..=0xd7 | 0xf0..=0xfd => {}
            SOS => {
                reader.segment()?;
                return reader.finish();
            }
            _ => {
                let segment = reader.segment()?;
                reader.interpret(marker, segment)?;
            }
        }
    }
    Err("it has no image data".to_owned())
}

struct Reader<'a> {
    rest: &'a [u8],
    header: Option<Header<'a>>,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
    /// The parts of a colour profile since the last frame header.
    profiles: Vec<&'a [u8]>,
}

impl<'a> Reader<'a> {
    /// The code of the next marker; `None` at the end of the file.
    fn next_marker(&mut self) -> Result<Option<u8>, String> {
        loop {
            // Bytes between segments are skipped.
            let Some(at) = self.rest.iter().position(|&byte| byte == 0xff) else {
                return Ok(None);
            };
            let Some(&code) = self.rest.get(at + 1) else { return Ok(None) };
            match code {
                // Fill bytes before a marker: this 0xff may begin it.
                0xff => self.rest = &self.rest[at + 1..],
                0 => self.rest = &self.rest[at + 2..],
                1..=0xbf => return Err(format!("0xff{code:02x} is not a marker")),
                _ => {
                    self.rest = &self.rest[at + 2..];
                    return Ok(Some(code));
                }
            }
        }
    }

    /// The contents of a segment after its marker.
    fn segment(&mut self) -> Result<&'a [u8], String> {
        let cut = || "a segment of its header is cut short".to_owned();
        let &[high, low, ref rest @ ..] = self.rest else { return Err(cut()) };
        // The length includes its own two bytes.
        let length = usize::from(u16::from_be_bytes([high, low])).saturating_sub(2);
        let (segment, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(segment)
    }

    fn interpret(&mut self, marker: u8, segment: &'a [u8]) -> Result<(), String> {
        match marker {
            DQT => check_tables(segment),
            DHP | 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                self.frame(marker, segment)
            }
            APP0 if segment.starts_with(b"JFIF") => at_least(segment, 7, "JFIF"),
            APP14 if segment.starts_with(b"Adobe") => at_least(segment, 7, "Adobe"),
            APP1 => {
                let exif = segment.strip_prefix(b"Exif\0\0");
                self.exif = self.exif.or(exif);
                // PIL keeps the last one.
                let xmp = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0");
                self.xmp = xmp.or(self.xmp);
                Ok(())
            }
            APP2 if segment.starts_with(b"ICC_PROFILE\0") => {
                self.profiles.push(segment);
                Ok(())
            }
            APP13 => check_photoshop(segment),
            _ => Ok(()),
        }
    }

    /// A frame header: the image's size and its components.
    fn frame(&mut self, marker: u8, segment: &'a [u8]) -> Result<(), String> {
        let &[precision, h1, h0, w1, w0, channels, ref components @ ..] = segment else {
            return Err("its frame header is cut short".to_owned());
        };
        if precision != 8 {
            return Err(format!(
                "its samples have {precision} bits, and only 8 can be read"
            ));
        }
        if !matches!(channels, 1 | 3 | 4) {
            return Err(format!(
                "it has {channels} components, and only 1, 3 or 4 can be read"
            ));
        }
        if let Some(first) = self.profiles.iter().min()
            && first.len() < 14
        {
            return Err("a part of its colour profile is cut short".to_owned());
        }
        self.profiles.clear();
        if components.len() % 3 != 0 {
            return Err("its frame header is cut short".to_owned());
        }
        self.header = Some(Header {
            width: u16::from_be_bytes([w1, w0]).into(),
            height: u16::from_be_bytes([h1, h0]).into(),
            channels: channels.into(),
            is_lossless: matches!(marker, 0xc3 | 0xc7 | 0xcb | 0xcf),
            is_progressive: matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce),
            exif: None,
            xmp: None,
        });
        Ok(())
    }

    fn finish(&self) -> Result<Header<'a>, String> {
        match self.header {
            Some(header) if header.width > 0 && header.height > 0 => {
                Ok(Header { exif: self.exif, xmp: self.xmp, ..header })
            }
            Some(_) => Err("its header gives it no pixels".to_owned()),
            None => Err("it has no frame header before its image data".to_owned()),
        }
    }
}

fn at_least(segment: &[u8], length: usize, name: &str) -> Result<(), String> {
    if segment.len() < length {
        return Err(format!("its {name} segment is cut short"));
    }
    Ok(())
}

/// Quantization tables: one byte of precision and number, then 64 values of 1 or 2 bytes.
fn check_tables(mut segment: &[u8]) -> Result<(), String> {
    while let Some(&kind) = segment.first() {
        let length = if kind < 16 { 1 + 64 } else { 1 + 128 };
        segment = segment
            .get(length..)
            .ok_or("a quantization table is cut short".to_owned())?;
    }
    Ok(())
}

/// PIL refuses a Photoshop segment that ends before the name of one of its resources.
fn check_photoshop(segment: &[u8]) -> Result<(), String> {
    if !segment.starts_with(b"Photoshop 3.0\0") {
        return Ok(());
    }
    let mut at = 14;
    while segment.get(at..at + 4) == Some(b"8BIM") {
        if segment.len() < at + 6 {
            return Ok(());
        }
        let name = segment.get(at + 6).ok_or("its Photoshop segment is cut short")?;
        at += 7 + usize::from(*name);
        at += at & 1;
        let Some(&[a, b, c, d]) = segment.get(at..at + 4) else { return Ok(()) };
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        // PIL reads nothing past the end of the segment.
        at = at.saturating_add(4).saturating_add(size).min(segment.len());
        at += at & 1;
    }
    Ok(())
}
