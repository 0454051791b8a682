//! WebP to RGB with the libwebp of Pillow's wheel, with PIL's pixels and PIL's refusals.
//!
//! Like PIL, it decodes every file as an animation and takes the first frame, as libwebp
//! draws it onto the canvas. The alpha is dropped.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::check_size;
use super::codecs::Codec;
use crate::transform::Image;
use crate::{Error, Result};

/// Whether these bytes begin as a WebP file does.
pub fn is_webp(bytes: &[u8]) -> bool {
    let kind = bytes.get(12..16).unwrap_or_default();
    bytes.starts_with(b"RIFF")
        && bytes.get(8..12) == Some(b"WEBP")
        && matches!(kind, b"VP8 " | b"VP8L" | b"VP8X")
}

/// The width and height of the canvas.
pub fn dimensions(bytes: &[u8]) -> Result<(usize, usize)> {
    Decoder::open(bytes)?.size()
}

/// Decodes the first frame to RGB.
pub fn rgb(bytes: &[u8]) -> Result<Image> {
    let decoder = Decoder::open(bytes)?;
    let (width, height) = decoder.size()?;
    let frame = decoder.first_frame(width * height * 4)?;
    let pixels = frame.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    Ok(Image { width, height, channels: 3, pixels })
}

/// A WebP's EXIF data.
pub fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let exif = chunk(bytes, b"EXIF")?;
    Some(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
}

/// A WebP's XMP data.
pub fn xmp(bytes: &[u8]) -> Option<&[u8]> {
    chunk(bytes, b"XMP ")
}

/// The contents of the first chunk of this name.
fn chunk<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(12..)?;
    // A chunk is a name, a length and the bytes, padded to an even length.
    loop {
        let (head, contents) = rest.split_at_checked(8)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head.starts_with(name) {
            return contents.get(..length);
        }
        rest = contents.get(length.checked_add(length % 2)?..)?;
    }
}

/// The canvas size in the first chunk, which is checked before libwebp allocates.
fn stated_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let number = |at: usize, count: usize| -> Option<usize> {
        let bytes = bytes.get(at..at + count)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    };
    match bytes.get(12..16)? {
        b"VP8 " => Some((number(26, 2)? & 0x3fff, number(28, 2)? & 0x3fff)),
        b"VP8X" => Some((number(24, 3)? + 1, number(27, 3)? + 1)),
        _ => {
            let bits = number(21, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
    }
}

fn damaged(reason: &str) -> Error {
    Error::failed(format_args!(
        "cannot be decoded as WebP, it is damaged or truncated: {reason}"
    ))
}

/// libwebp's structures and functions. Source: its demux.h.
#[repr(C)]
struct Data {
    bytes: *const u8,
    length: usize,
}

#[repr(C)]
#[derive(Default)]
struct Information {
    width: u32,
    height: u32,
    loops: u32,
    background: u32,
    frames: u32,
    reserved: [u32; 4],
}

struct Functions {
    open: unsafe extern "C" fn(*const Data, *const c_void, c_int) -> *mut c_void,
    information: unsafe extern "C" fn(*const c_void, *mut Information) -> c_int,
    next: unsafe extern "C" fn(*mut c_void, *mut *mut u8, *mut c_int) -> c_int,
    close: unsafe extern "C" fn(*mut c_void),
}

/// Their names, in the order of [`Functions`].
const NAMES: [&CStr; 4] = [
    c"WebPAnimDecoderNewInternal",
    c"WebPAnimDecoderGetInfo",
    c"WebPAnimDecoderGetNext",
    c"WebPAnimDecoderDelete",
];
/// WEBP_DEMUX_ABI_VERSION.
const INTERFACE_VERSION: c_int = 0x107;

static CODEC: Codec = Codec::new("webpdemux");

fn functions() -> Result<&'static Functions> {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    if let Some(functions) = FUNCTIONS.get() {
        return Ok(functions);
    }
    let addresses = CODEC.functions(NAMES)?;
    // SAFETY: `Functions` has one function pointer per name, in the same order and with
    // the types of demux.h; no address is null.
    let functions = unsafe {
        std::mem::transmute::<[*const c_void; NAMES.len()], Functions>(addresses)
    };
    Ok(FUNCTIONS.get_or_init(|| functions))
}

/// libwebp's decoder, which borrows the file's bytes.
struct Decoder<'a> {
    handle: NonNull<c_void>,
    functions: &'static Functions,
    _data: Box<Data>,
    _bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        if let Some(size) = stated_size(bytes) {
            check_size(size)?;
        }
        let functions = functions()?;
        let data = Box::new(Data { bytes: bytes.as_ptr(), length: bytes.len() });
        // SAFETY: the bytes and the structure live as long as the decoder; null options
        // are the defaults.
        let handle = unsafe {
            (functions.open)(&raw const *data, std::ptr::null(), INTERFACE_VERSION)
        };
        let handle = NonNull::new(handle)
            .ok_or_else(|| damaged("libwebp cannot read its structure"))?;
        Ok(Self { handle, functions, _data: data, _bytes: bytes })
    }

    fn size(&self) -> Result<(usize, usize)> {
        let mut information = Information::default();
        // SAFETY: the handle is open, and the structure is demux.h's WebPAnimInfo.
        let done = unsafe {
            (self.functions.information)(self.handle.as_ptr(), &raw mut information)
        };
        if done == 0 {
            return Err(damaged("libwebp cannot read its size"));
        }
        let size = (information.width as usize, information.height as usize);
        check_size(size)?;
        Ok(size)
    }

    /// The canvas of `length` bytes, RGBA, after the first frame is drawn.
    fn first_frame(&self, length: usize) -> Result<&[u8]> {
        let mut canvas = std::ptr::null_mut();
        let mut time = 0;
        // SAFETY: the handle is open. The canvas has width * height * 4 bytes, and is
        // valid until the decoder is called again or closed.
        unsafe {
            let handle = self.handle.as_ptr();
            if (self.functions.next)(handle, &raw mut canvas, &raw mut time) == 0
                || canvas.is_null()
            {
                return Err(damaged("libwebp cannot decode its first frame"));
            }
            Ok(std::slice::from_raw_parts(canvas, length))
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed only here.
        unsafe { (self.functions.close)(self.handle.as_ptr()) };
    }
}
