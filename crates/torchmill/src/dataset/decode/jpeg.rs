//! JPEG to RGB with the libjpeg-turbo of Pillow's wheel, with exactly PIL's pixels and
//! PIL's refusals.
//!
//! PIL reads the header itself before libjpeg does, and refuses some files there:
//! [`header`] makes the same checks.

mod header;

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::codecs::Codec;
use super::{Decoded, check_size, cmyk, rows_of_whole};
use crate::transform::{DecodedPart, FilePart, Image};
use crate::{Error, Result};
use header::Header;

/// The columns to decode beside those of a part: a column of subsampled colours is
/// computed from its neighbours, too.
const MARGIN: usize = 2;

/// Whether these bytes begin as a JPEG file does.
pub fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// A JPEG's width and height.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    let header = read_header(bytes)?;
    Ok((header.width, header.height))
}

/// A JPEG's EXIF data, which has the format of a TIFF file.
pub fn exif(bytes: &[u8]) -> Option<&[u8]> {
    header::read(bytes).ok()?.exif
}

/// A JPEG's XMP data.
pub fn xmp(bytes: &[u8]) -> Option<&[u8]> {
    header::read(bytes).ok()?.xmp
}

/// Decodes a JPEG to RGB. As in PIL, a file that libjpeg reads with warnings is accepted,
/// and the first warning is kept; a truncated file is refused.
pub fn rgb(bytes: &[u8]) -> Result<Decoded> {
    let header = read_header(bytes)?;
    let shape = [header.width, header.height, header.channels];
    let decoder = Decoder::new()?;
    if decoder.header(bytes)? != shape {
        return Err(damaged("its headers contradict each other"));
    }
    let pixels = filled(shape.iter().product(), |pixels| decoder.pixels(pixels))?;
    let pixels = to_rgb(pixels, header.channels);
    let image = Image { width: header.width, height: header.height, channels: 3, pixels };
    Ok(Decoded { image, warning: decoder.warning() })
}

/// Whether these bytes are a JPEG file that can be decoded at a smaller scale.
pub fn can_be_scaled(bytes: &[u8]) -> bool {
    is_jpeg(bytes) && read_header(bytes).is_ok_and(|header| !header.is_lossless)
}

/// Decodes a part of a JPEG to RGB, at 1/scale of its size if `part` says so; without a
/// scale, the pixels are those of [`rgb`]. Other rows and columns are only parsed, and
/// rows after the part are not read, so damage there is not found.
pub fn rgb_part(bytes: &[u8], part: &FilePart) -> Result<DecodedPart> {
    let header = read_header(bytes)?;
    if header.is_lossless {
        return rows_of_whole(rgb(bytes)?.image, part);
    }
    let decoder = Decoder::new()?;
    decode_part(&decoder, bytes, &header, part)
}

/// Decodes a part of a JPEG, without a scale, and reads the file to its end: pixels, errors
/// and warnings are those of [`rgb`].
pub fn checked_part(
    bytes: &[u8],
    part: &FilePart,
) -> Result<(DecodedPart, Option<String>)> {
    let header = read_header(bytes)?;
    // In an unfinished progressive image, libjpeg smooths blocks with their neighbours.
    if header.is_lossless || header.is_progressive {
        let Decoded { image, warning } = rgb(bytes)?;
        return Ok((rows_of_whole(image, part)?, warning));
    }
    let decoder = Decoder::new()?;
    let decoded = decode_part(&decoder, bytes, &header, part)?;
    decoder.finish(decoded.image.width, header.channels)?;
    Ok((decoded, decoder.warning()))
}

fn decode_part(
    decoder: &Decoder,
    bytes: &[u8],
    header: &Header,
    part: &FilePart,
) -> Result<DecodedPart> {
    if decoder.header(bytes)? != [header.width, header.height, header.channels] {
        return Err(damaged("its headers contradict each other"));
    }
    let columns = decoder.start(part, header.width.div_ceil(part.scale))?;
    let (width, height) = (columns.len(), part.rows.len());
    let pixels = filled(width * height * header.channels, |pixels| {
        decoder.rows(&part.rows, width, pixels)
    })?;
    let pixels = to_rgb(pixels, header.channels);
    let image = Image { width, height, channels: 3, pixels };
    Ok(DecodedPart { image, left: columns.start })
}

/// This many bytes, which `fill` writes.
fn filled(length: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| Error::failed("not enough memory to decode it"))?;
    bytes.resize(length, 0);
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Converts decoded pixels with this many channels to RGB.
fn to_rgb(pixels: Vec<u8>, channels: usize) -> Vec<u8> {
    match channels {
        1 => pixels.iter().flat_map(|&level| [level; 3]).collect(),
        3 => pixels,
        // Like PIL, treat CMYK in a JPEG as inverted, as Adobe's programs store it.
        _ => pixels
            .chunks_exact(4)
            .flat_map(|p| cmyk::to_rgb([255 - p[0], 255 - p[1], 255 - p[2], 255 - p[3]]))
            .collect(),
    }
}

fn read_header(bytes: &[u8]) -> Result<Header<'_>> {
    let header = header::read(bytes).map_err(|reason| damaged(&reason))?;
    check_size((header.width, header.height))?;
    Ok(header)
}

fn damaged(reason: &str) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as JPEG, it is damaged or truncated: {reason}"
    ))
}

/// A decoder of jpeg/decoder.c, for one image.
struct Decoder(NonNull<c_void>);

/// The functions of `struct library` in jpeg/decoder.c, in its order.
const FUNCTIONS: [&CStr; 10] = [
    c"jpeg_std_error",
    c"jpeg_CreateDecompress",
    c"jpeg_destroy_decompress",
    c"jpeg_read_header",
    c"jpeg_start_decompress",
    c"jpeg_read_scanlines",
    c"jpeg_finish_decompress",
    c"jpeg_resync_to_restart",
    c"jpeg_skip_scanlines",
    c"jpeg_crop_scanline",
];

static CODEC: Codec = Codec::new("jpeg");

#[repr(C)]
struct Functions([*const c_void; FUNCTIONS.len()]);

// SAFETY: these are addresses of functions of a library that is never unloaded.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

/// What the functions of jpeg/decoder.c return.
const OK: c_int = 0;
const TRUNCATED: c_int = 2;
const OTHER_SIZE: c_int = 3;

unsafe extern "C" {
    fn torchmill_jpeg_new(library: *const Functions) -> *mut c_void;
    fn torchmill_jpeg_free(decoder: *mut c_void);
    fn torchmill_jpeg_text(decoder: *const c_void) -> *const c_char;
    fn torchmill_jpeg_warnings(decoder: *const c_void) -> c_long;
    fn torchmill_jpeg_header(
        decoder: *mut c_void,
        data: *const u8,
        length: usize,
        shape: *mut c_int,
    ) -> c_int;
    fn torchmill_jpeg_pixels(decoder: *mut c_void, pixels: *mut u8) -> c_int;
    fn torchmill_jpeg_start(
        decoder: *mut c_void,
        scale: c_uint,
        whole: c_uint,
        left: *mut c_uint,
        width: *mut c_uint,
    ) -> c_int;
    fn torchmill_jpeg_rows(
        decoder: *mut c_void,
        width: c_uint,
        first: c_uint,
        count: c_uint,
        pixels: *mut u8,
    ) -> c_int;
    fn torchmill_jpeg_finish(decoder: *mut c_void, width: c_uint, row: *mut u8) -> c_int;
}

impl Decoder {
    fn new() -> Result<Self> {
        static LIBRARY: OnceLock<Functions> = OnceLock::new();
        let library = match LIBRARY.get() {
            Some(library) => library,
            None => {
                let functions = Functions(CODEC.functions(FUNCTIONS)?);
                LIBRARY.get_or_init(|| functions)
            }
        };
        // SAFETY: the library's functions are those that decoder.c declares, and live as
        // long as the program.
        NonNull::new(unsafe { torchmill_jpeg_new(library) })
            .map(Self)
            .ok_or_else(|| Error::failed("not enough memory to decode it"))
    }

    /// Width, height and channels.
    fn header(&self, bytes: &[u8]) -> Result<[usize; 3]> {
        let mut shape = [0; 3];
        // SAFETY: decoder.c reads `bytes.len()` bytes, and writes three numbers.
        let status = unsafe {
            torchmill_jpeg_header(
                self.0.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                shape.as_mut_ptr(),
            )
        };
        self.check(status)?;
        Ok(shape.map(|n| usize::try_from(n).unwrap_or(0)))
    }

    /// `pixels` must have the length of [`Decoder::header`]'s shape, and the file's bytes
    /// must still be alive.
    fn pixels(&self, pixels: &mut [u8]) -> Result<()> {
        // SAFETY: as `rgb` calls it, `pixels` has the length of the shape that libjpeg
        // gave, and the file's bytes are borrowed until it returns.
        let status =
            unsafe { torchmill_jpeg_pixels(self.0.as_ptr(), pixels.as_mut_ptr()) };
        self.check(status)
    }

    /// Begins to decode a part of an image that is `whole` pixels wide at the part's
    /// scale. Returns the columns that the rows will have: those of the part and a few
    /// more, as libjpeg decodes blocks. The file's bytes must still be alive.
    fn start(&self, part: &FilePart, whole: usize) -> Result<Range<usize>> {
        let wanted = part.columns.start.saturating_sub(MARGIN)
            ..(part.columns.end.saturating_add(MARGIN)).min(whole);
        if wanted.is_empty() {
            return Err(damaged("it has no such columns"));
        }
        // A JPEG's sides have 16 bits.
        let [scale, whole, mut left, mut width] =
            [part.scale, whole, wanted.start, wanted.len()].map(|n| n as c_uint);
        // SAFETY: decoder.c writes two numbers, and the file's bytes are borrowed by
        // `decode_part`.
        let status = unsafe {
            torchmill_jpeg_start(
                self.0.as_ptr(),
                scale,
                whole,
                &raw mut left,
                &raw mut width,
            )
        };
        self.check(status)?;
        Ok(left as usize..(left + width) as usize)
    }

    /// `pixels` must have the length of these rows of `width` pixels, which
    /// [`Decoder::start`] gave. The file's bytes must still be alive.
    fn rows(&self, rows: &Range<usize>, width: usize, pixels: &mut [u8]) -> Result<()> {
        let [width, first, count] = [width, rows.start, rows.len()].map(|n| n as c_uint);
        // SAFETY: `decode_part` has made `pixels` for `count` rows of `width` pixels, and
        // decoder.c checks that libjpeg's rows have that width.
        let status = unsafe {
            torchmill_jpeg_rows(self.0.as_ptr(), width, first, count, pixels.as_mut_ptr())
        };
        self.check(status)
    }

    /// Reads the rest of the file after some rows of `width` pixels with this many channels.
    /// The file's bytes must still be alive.
    fn finish(&self, width: usize, channels: usize) -> Result<()> {
        let mut row = vec![0; width * channels];
        // SAFETY: `row` has room for a row of `width` pixels, and decoder.c checks that
        // libjpeg's rows have that width. The file's bytes are borrowed by `checked_part`.
        let status = unsafe {
            torchmill_jpeg_finish(self.0.as_ptr(), width as c_uint, row.as_mut_ptr())
        };
        self.check(status)
    }

    fn check(&self, status: c_int) -> Result<()> {
        match status {
            OK => Ok(()),
            TRUNCATED => Err(damaged("the file ends before its image data does")),
            OTHER_SIZE => Err(damaged("its size is not that of its header")),
            _ => Err(damaged(&self.text())),
        }
    }

    fn warning(&self) -> Option<String> {
        // SAFETY: the decoder is alive.
        let count = unsafe { torchmill_jpeg_warnings(self.0.as_ptr()) };
        (count > 0).then(|| self.text())
    }

    /// libjpeg's text for an error, or for the first warning.
    fn text(&self) -> String {
        // SAFETY: the text ends with a zero byte and lives as long as the decoder.
        let text = unsafe { CStr::from_ptr(torchmill_jpeg_text(self.0.as_ptr())) };
        text.to_string_lossy().into_owned()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by torchmill_jpeg_new, and freed only here.
        unsafe { torchmill_jpeg_free(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::*;

    /// JPEGs with the pixels that PIL decodes: see tests/golden/jpeg.py.
    fn goldens() -> Vec<(String, Vec<u8>, Image)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/jpeg.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let names = file.names().into_iter().filter_map(|name| name.strip_suffix(".jpg"));
        let golden = |name: &str| {
            let jpeg = file.tensor(&format!("{name}.jpg")).unwrap().data().to_vec();
            let theirs = file.tensor(&format!("{name}.pixels")).unwrap();
            let [height, width, channels] = *theirs.shape() else {
                panic!("{name} is not an image")
            };
            (
                name.to_owned(),
                jpeg,
                Image { width, height, channels, pixels: theirs.data().to_vec() },
            )
        };
        names.map(golden).collect()
    }

    #[test]
    fn pixels_are_those_of_pil() {
        let goldens = goldens();
        assert!(goldens.len() >= 13);
        for (name, jpeg, theirs) in goldens {
            assert_eq!(
                dimensions(&jpeg).unwrap(),
                (theirs.width, theirs.height),
                "{name}"
            );
            assert!(rgb(&jpeg).unwrap().image == theirs, "{name} differs");
        }
    }

    /// Ranges within `0..length` of several lengths.
    fn ranges(length: usize) -> Vec<Range<usize>> {
        let ends = |start: usize| [start + 1, start + 2, start + 9, length];
        let range = |start| move |end: usize| start..end.min(length);
        (0..length).flat_map(|start| ends(start).map(range(start))).collect()
    }

    /// Checks that a part has the pixels of the whole image.
    #[track_caller]
    fn check_part(name: &str, jpeg: &[u8], whole: &Image, part: &FilePart) {
        let DecodedPart { image, left } = rgb_part(jpeg, part).unwrap();
        assert_eq!(image.height, part.rows.len(), "{name}");
        assert!(left <= part.columns.start, "{name}: {part:?}");
        assert!(left + image.width >= part.columns.end, "{name}: {part:?}");
        let columns = part.columns.start * 3..part.columns.end * 3;
        let in_part = columns.start - left * 3..columns.end - left * 3;
        for (row, y) in image.pixels.chunks_exact(image.width * 3).zip(part.rows.clone())
        {
            let expected = &whole.pixels[y * whole.width * 3..][columns.clone()];
            assert!(row[in_part.clone()] == *expected, "{name}: row {y} of {part:?}");
        }
    }

    #[test]
    fn a_part_is_that_of_the_whole() {
        for (name, jpeg, theirs) in goldens() {
            let (height, width) = (theirs.height, theirs.width);
            for rows in ranges(height) {
                let part = FilePart { rows, columns: 0..width, scale: 1 };
                check_part(&name, &jpeg, &theirs, &part);
            }
            for columns in ranges(width) {
                for rows in [0..height, height / 2..height, height / 3..height / 3 + 1] {
                    let part = FilePart { rows, columns: columns.clone(), scale: 1 };
                    check_part(&name, &jpeg, &theirs, &part);
                }
            }
        }
    }

    /// libjpeg skips no rows and no columns of such an image. See lossless.py.
    #[test]
    fn a_part_of_a_lossless_image_is_that_of_the_whole() {
        let jpeg = include_bytes!("../../../tests/golden/lossless.jpg");
        let (width, height) = (40, 12);
        let level = |i: usize| {
            let (x, y) = (i % width, i / width);
            ((5 * x + 11 * y + x * y % 7) % 256) as u8
        };
        let pixels = (0..width * height).flat_map(|i| [level(i); 3]).collect();
        let whole = Image { width, height, channels: 3, pixels };
        assert!(rgb(jpeg).unwrap().image == whole);
        for (rows, columns) in [(0..1, 0..40), (3..9, 17..30), (11..12, 39..40)] {
            let part = FilePart { rows, columns, scale: 1 };
            check_part("lossless", jpeg, &whole, &part);
        }
        assert!(!can_be_scaled(jpeg));
        assert!(can_be_scaled(&goldens()[0].1));
    }

    #[test]
    fn a_scaled_image_is_about_what_the_whole_averages_to() {
        for (name, jpeg, theirs) in goldens() {
            let mean = |pixels: &[u8]| {
                pixels.iter().map(|&level| f64::from(level)).sum::<f64>()
                    / pixels.len() as f64
            };
            for scale in [2, 4, 8] {
                let rows = 0..theirs.height.div_ceil(scale);
                let columns = 0..theirs.width.div_ceil(scale);
                let part = FilePart { rows, columns: columns.clone(), scale };
                let image = rgb_part(&jpeg, &part).unwrap().image;
                assert_eq!(image.width, columns.len(), "{name}");
                let off = (mean(&image.pixels) - mean(&theirs.pixels)).abs();
                assert!(off < 12.0, "{name} at 1/{scale}: {off}");
            }
        }
    }

    proptest! {
        /// Damage of any kind gives the pixels, the warning or the error of the whole image if
        /// only a part of it is decoded.
        #[test]
        fn a_checked_part_of_a_damaged_file_is_that_of_the_whole(
            name in 0..13_usize,
            damages in proptest::collection::vec((0.0..1.0_f64, any::<u8>(), 0..5_u8), 0..4),
            (top, left) in (0.0..1.0_f64, 0.0..1.0_f64),
        ) {
            let (_, mut jpeg, _) = goldens().swap_remove(name);
            for (at, byte, kind) in damages {
                let at = (at * jpeg.len() as f64) as usize;
                match kind {
                    0 => jpeg[at] = byte,
                    1 => jpeg[at] ^= 1 << (byte % 8),
                    2 => jpeg.insert(at, byte),
                    3 => drop(jpeg.splice(at..at, [0xff, 0xd0 | (byte % 16)])),
                    _ => jpeg.truncate(at.max(1)),
                }
            }
            let Ok((width, height)) = dimensions(&jpeg) else { return Ok(()) };
            if width * height > 1 << 16 {
                return Ok(());
            }
            let start = |length: usize, at: f64| (length as f64 * at) as usize;
            let (top, left) = (start(height, top), start(width, left));
            let rows = top..(top + 9).min(height);
            let columns = left..(left + 9).min(width);
            let part = FilePart { rows: rows.clone(), columns: columns.clone(), scale: 1 };
            let (whole, (found, warning)) = match (rgb(&jpeg), checked_part(&jpeg, &part)) {
                (Ok(whole), Ok(found)) => (whole, found),
                (Err(expected), Err(found)) => {
                    prop_assert_eq!(found.to_string(), expected.to_string());
                    return Ok(());
                }
                (whole, found) => panic!("{:?}, {:?}", whole.err(), found.err()),
            };
            prop_assert_eq!(warning, whole.warning);
            let part_of_whole = rows_of_whole(whole.image, &part).unwrap();
            let row = |decoded: &DecodedPart, y: usize| {
                let pixel = y * decoded.image.width + columns.start - decoded.left;
                decoded.image.pixels[3 * pixel..][..3 * columns.len()].to_vec()
            };
            for y in 0..rows.len() {
                prop_assert_eq!(row(&found, y), row(&part_of_whole, y), "row {}", y);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let (_, jpeg, theirs) = goldens().remove(0);
        let (height, width) = (theirs.height, theirs.width);
        for (rows, columns) in
            [(height - 1..height + 1, 0..width), (0..height, width + 9..width + 10)]
        {
            let part = FilePart { rows, columns, scale: 1 };
            assert!(rgb_part(&jpeg, &part).is_err());
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for (name, jpeg, _) in goldens() {
            for end in [3, jpeg.len() / 2, jpeg.len() - 3] {
                let error = rgb(&jpeg[..end]).unwrap_err().to_string();
                assert!(error.contains("damaged or truncated"), "{name}: {error}");
            }
        }
    }

    #[test]
    fn what_follows_the_end_does_not_matter() {
        for (name, jpeg, theirs) in goldens() {
            // Padding of any length, as phones and cameras add it, with bytes that look
            // like markers.
            let padded =
                [&jpeg[..], &[0; 5000], &[0xff, 0xd8, 0xff, 0xe1, 0x40], &[7; 3000]]
                    .concat();
            assert!(rgb(&padded).unwrap().image == theirs, "{name} differs");
        }
    }
}
