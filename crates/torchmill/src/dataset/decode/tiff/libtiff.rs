//! Strips and tiles that libtiff decompresses: the libtiff of Pillow's wheel, called as
//! PIL calls it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::Canvas;
use super::directory::Directory;
use super::layout::Layout;
use super::unpack::{Unpacker, divide_by_alpha};
use crate::Result;
use crate::dataset::decode::codecs::Codec;

/// libtiff's tags and values. Source: its tiff.h.
const WIDTH: u32 = 256;
const HEIGHT: u32 = 257;
const BITS_PER_SAMPLE: u32 = 258;
const COMPRESSION: u32 = 259;
const PHOTOMETRIC: u32 = 262;
const ORIENTATION: u32 = 274;
const ROWS_PER_STRIP: u32 = 278;
const PLANAR_CONFIGURATION: u32 = 284;
const TILE_WIDTH: u32 = 322;
const TILE_LENGTH: u32 = 323;
const EXTRA_SAMPLES: u32 = 338;
const JPEG_COLOR_MODE: u32 = 65538;
const YCBCR: u16 = 6;
const JPEG: u16 = 7;
const CONTIGUOUS: u16 = 1;
const SEPARATE: u16 = 2;
const TOP_LEFT: c_int = 1;
const AS_RGB: c_int = 1;

/// PIL's own limit for a strip or tile; here it also limits every allocation of
/// libtiff's.
const MAX_BYTES: usize = i32::MAX as usize;

/// Fills the canvas, and returns libtiff's first error if libtiff continued after it. The
/// inner error means that the file is bad.
pub fn decode(
    bytes: &[u8],
    directory: &Directory,
    layout: &Layout,
    canvas: &mut Canvas,
) -> Result<Result<Option<String>, String>> {
    let mut file = File { bytes, position: 0, text: [0; TEXT_BYTES] };
    let Some(tiff) = Tiff::open(&mut file)? else {
        let reason =
            file.message().unwrap_or_else(|| "libtiff cannot open it".to_owned());
        return Ok(Err(reason));
    };
    let done = tiff.decode(directory, layout, canvas);
    drop(tiff);
    Ok(match done {
        Ok(()) => Ok(file.message()),
        Err(reason) => Err(file.message().unwrap_or(reason)),
    })
}

/// The size of a message's text; also in message.c.
const TEXT_BYTES: usize = 300;

/// The file in memory, and libtiff's first error message.
struct File<'a> {
    bytes: &'a [u8],
    position: u64,
    text: [u8; TEXT_BYTES],
}

impl File<'_> {
    fn message(&self) -> Option<String> {
        let end = self.text.iter().position(|&byte| byte == 0);
        let text = &self.text[..end.unwrap_or(self.text.len())];
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

type Handle = *mut c_void;
type Field = unsafe extern "C" fn(Handle, u32, ...) -> c_int;
/// A handler in message.c. Rust does not call it, so its arguments are left out.
type MessageHandler = unsafe extern "C" fn() -> c_int;

unsafe extern "C" {
    fn torchmill_tiff_error() -> c_int;
    fn torchmill_tiff_warning() -> c_int;
}

/// Opens a TIFF whose bytes the callbacks read.
type Open = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *mut File,
    Transfer,
    Transfer,
    unsafe extern "C" fn(*mut File, u64, c_int) -> u64,
    unsafe extern "C" fn(*mut File) -> c_int,
    unsafe extern "C" fn(*mut File) -> u64,
    unsafe extern "C" fn(*mut File, *mut *const u8, *mut u64) -> c_int,
    unsafe extern "C" fn(*mut File, *mut u8, u64),
    *mut c_void,
) -> Handle;
/// Reads or writes a number of bytes.
type Transfer = unsafe extern "C" fn(*mut File, *mut u8, isize) -> isize;

/// libtiff's functions. Source: its tiffio.h.
struct Functions {
    open: Open,
    close: unsafe extern "C" fn(Handle),
    set_directory: unsafe extern "C" fn(Handle, u64) -> c_int,
    get_field: Field,
    get_field_defaulted: Field,
    set_field: Field,
    is_tiled: unsafe extern "C" fn(Handle) -> c_int,
    tile_size: unsafe extern "C" fn(Handle) -> isize,
    tile_row_size: unsafe extern "C" fn(Handle) -> isize,
    read_tile: unsafe extern "C" fn(Handle, *mut u8, u32, u32, u32, u16) -> isize,
    strip_size: unsafe extern "C" fn(Handle) -> isize,
    scanline_size: unsafe extern "C" fn(Handle) -> isize,
    compute_strip: unsafe extern "C" fn(Handle, u32, u16) -> u32,
    read_strip: unsafe extern "C" fn(Handle, u32, *mut u8, isize) -> isize,
    read_rgba: unsafe extern "C" fn(Handle, u32, u32, *mut u32, c_int, c_int) -> c_int,
    new_options: unsafe extern "C" fn() -> *mut c_void,
    free_options: unsafe extern "C" fn(*mut c_void),
    limit_allocation: unsafe extern "C" fn(*mut c_void, isize),
    on_error: unsafe extern "C" fn(*mut c_void, MessageHandler, *mut u8),
    on_warning: unsafe extern "C" fn(*mut c_void, MessageHandler, *mut u8),
}

/// Their names, in the order of [`Functions`].
const NAMES: [&CStr; 20] = [
    c"TIFFClientOpenExt",
    c"TIFFClose",
    c"TIFFSetSubDirectory",
    c"TIFFGetField",
    c"TIFFGetFieldDefaulted",
    c"TIFFSetField",
    c"TIFFIsTiled",
    c"TIFFTileSize",
    c"TIFFTileRowSize",
    c"TIFFReadTile",
    c"TIFFStripSize",
    c"TIFFScanlineSize",
    c"TIFFComputeStrip",
    c"TIFFReadEncodedStrip",
    c"TIFFReadRGBAImageOriented",
    c"TIFFOpenOptionsAlloc",
    c"TIFFOpenOptionsFree",
    c"TIFFOpenOptionsSetMaxSingleMemAlloc",
    c"TIFFOpenOptionsSetErrorHandlerExtR",
    c"TIFFOpenOptionsSetWarningHandlerExtR",
];

static CODEC: Codec = Codec::new("tiff");

fn functions() -> Result<&'static Functions> {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    if let Some(functions) = FUNCTIONS.get() {
        return Ok(functions);
    }
    let addresses = CODEC.functions(NAMES)?;
    // SAFETY: `Functions` has one function pointer per name, in the same order and with
    // the types of tiffio.h; no address is null.
    let functions = unsafe {
        std::mem::transmute::<[*const c_void; NAMES.len()], Functions>(addresses)
    };
    Ok(FUNCTIONS.get_or_init(|| functions))
}

/// An open TIFF. It borrows the file, whose address libtiff holds.
struct Tiff<'f, 'b> {
    handle: NonNull<c_void>,
    functions: &'static Functions,
    file: PhantomData<&'f mut File<'b>>,
}

impl<'f, 'b> Tiff<'f, 'b> {
    /// `None` if libtiff cannot open it.
    fn open(file: &'f mut File<'b>) -> Result<Option<Self>> {
        let functions = functions()?;
        let file: *mut File<'b> = file;
        let file: *mut File = file.cast();
        // SAFETY: the options are used for this call only; the callbacks get `file`,
        // which lives as long as the `Tiff`.
        let handle = unsafe {
            let options = (functions.new_options)();
            (functions.limit_allocation)(options, MAX_BYTES as isize);
            let text = (&raw mut (*file).text).cast();
            (functions.on_error)(options, torchmill_tiff_error, text);
            (functions.on_warning)(options, torchmill_tiff_warning, text);
            let handle = (functions.open)(
                c"image".as_ptr(),
                // Keep the file's strips instead of splitting them.
                c"rC".as_ptr(),
                file,
                read,
                write,
                seek,
                close,
                size,
                map,
                unmap,
                options,
            );
            (functions.free_options)(options);
            handle
        };
        Ok(NonNull::new(handle).map(|handle| Self {
            handle,
            functions,
            file: PhantomData,
        }))
    }

    /// Follows PIL's ImagingLibTiffDecode.
    fn decode(
        &self,
        directory: &Directory,
        layout: &Layout,
        canvas: &mut Canvas,
    ) -> Result<(), String> {
        let handle = self.handle.as_ptr();
        let offset = directory.offset & u64::from(u32::MAX);
        // SAFETY: the handle is open.
        if unsafe { (self.functions.set_directory)(handle, offset) } == 0 {
            return Err("libtiff cannot read its directory".to_owned());
        }
        let size = (self.long(WIDTH), self.long(HEIGHT));
        if size != (Some(layout.width as u32), Some(layout.height as u32)) {
            return Err("libtiff reads another size".to_owned());
        }
        let photometric = self.short(PHOTOMETRIC).unwrap_or(0);
        let planar = self.short_or_default(PLANAR_CONFIGURATION).unwrap_or(CONTIGUOUS);
        if photometric == YCBCR {
            let jpeg = self.short(COMPRESSION) == Some(JPEG);
            if !jpeg || planar != CONTIGUOUS {
                return self.decode_rgba(layout, canvas);
            }
            // SAFETY: this tag takes an int.
            unsafe { (self.functions.set_field)(handle, JPEG_COLOR_MODE, AS_RGB) };
        }
        let unpackers = self.unpackers(layout, planar)?;
        // SAFETY: the handle is open.
        if unsafe { (self.functions.is_tiled)(handle) } != 0 {
            self.decode_tiles(layout, &unpackers, canvas)?;
        } else {
            self.decode_strips(layout, &unpackers, canvas)?;
        }
        if unpackers.len() > 3 && self.has_associated_alpha(layout) {
            canvas.levels.chunks_exact_mut(4).for_each(divide_by_alpha);
        }
        Ok(())
    }

    /// One unpacker per plane, or one for all channels.
    fn unpackers(&self, layout: &Layout, planar: u16) -> Result<Vec<Unpacker>, String> {
        // An index with alpha counts as two.
        let bands = if layout.raw_mode == "PA" { 2 } else { layout.mode.bands() };
        if planar != SEPARATE || bands == 1 {
            return Ok(vec![layout.unpacker]);
        }
        match self.short_or_default(BITS_PER_SAMPLE) {
            Some(bits @ (8 | 16)) => {
                Ok((0..bands).map(|k| Unpacker::band(k, bits == 16)).collect())
            }
            _ => {
                Err("planes of samples that have not 8 or 16 bits are not read"
                    .to_owned())
            }
        }
    }

    fn has_associated_alpha(&self, layout: &Layout) -> bool {
        if layout.mode != super::Mode::Rgba {
            return false;
        }
        let (mut count, mut kinds) = (0_u16, std::ptr::null::<u16>());
        // SAFETY: this tag gives a count and an array of that length.
        let first = unsafe {
            (self.functions.get_field_defaulted)(
                self.handle.as_ptr(),
                EXTRA_SAMPLES,
                &raw mut count,
                &raw mut kinds,
            );
            if count == 0 || kinds.is_null() {
                return false;
            }
            *kinds
        };
        first < 2
    }

    fn decode_rgba(&self, layout: &Layout, canvas: &mut Canvas) -> Result<(), String> {
        let (width, height) = (layout.width, layout.height);
        let pixels = width.checked_mul(height).filter(|pixels| *pixels < MAX_BYTES / 4);
        let Some(pixels) = pixels else { return Err("it is too large".to_owned()) };
        let mut raster = vec![0_u32; pixels];
        let handle = self.handle.as_ptr();
        // SAFETY: the raster has width * height pixels. The orientation is set so that
        // libtiff does not turn the image: that is done later.
        let done = unsafe {
            (self.functions.set_field)(handle, ORIENTATION, TOP_LEFT);
            (self.functions.read_rgba)(
                handle,
                width as u32,
                height as u32,
                raster.as_mut_ptr(),
                TOP_LEFT,
                // As PIL, go on after an error in a strip.
                0,
            )
        };
        if done == 0 {
            return Err("libtiff cannot convert it to RGB".to_owned());
        }
        for (y, row) in raster.chunks_exact(width).enumerate() {
            let samples: Vec<u8> = row.iter().flat_map(|p| p.to_le_bytes()).collect();
            let depth = canvas.depth;
            layout.unpacker.unpack(&samples, depth, canvas.row(0, y, width));
        }
        Ok(())
    }

    fn decode_tiles(
        &self,
        layout: &Layout,
        unpackers: &[Unpacker],
        canvas: &mut Canvas,
    ) -> Result<(), String> {
        let handle = self.handle.as_ptr();
        // SAFETY: the handle is open.
        let (bytes, row_bytes) = unsafe {
            ((self.functions.tile_size)(handle), (self.functions.tile_row_size)(handle))
        };
        let (bytes, row_bytes) = (bytes.max(0) as usize, row_bytes.max(0) as usize);
        let width = self.long(TILE_WIDTH).unwrap_or(0) as usize;
        let height = self.long(TILE_LENGTH).unwrap_or(0) as usize;
        let plane_bits = |samples: usize| {
            samples.saturating_mul(layout.unpacker.bits) / unpackers.len()
        };
        let expected = plane_bits(height).div_ceil(8).saturating_mul(width);
        let sound = width > 0 && height > 0 && bytes <= expected.min(MAX_BYTES - 1);
        let needed = plane_bits(width).div_ceil(8);
        if !sound || row_bytes == 0 || row_bytes > bytes || row_bytes < needed {
            return Err("its tiles have another size than their samples".to_owned());
        }
        let mut buffer = vec![0; bytes];
        for y in (0..layout.height).step_by(height) {
            for (plane, unpacker) in unpackers.iter().enumerate() {
                for x in (0..layout.width).step_by(width) {
                    // SAFETY: the buffer has a tile's size.
                    let read = unsafe {
                        let at = (x as u32, y as u32);
                        let out = buffer.as_mut_ptr();
                        (self.functions.read_tile)(
                            handle,
                            out,
                            at.0,
                            at.1,
                            0,
                            plane as u16,
                        )
                    };
                    if read == -1 {
                        return Err("libtiff cannot read a tile".to_owned());
                    }
                    let size =
                        (width.min(layout.width - x), height.min(layout.height - y));
                    let rows = buffer.chunks(row_bytes).take(size.1);
                    for (row, samples) in rows.enumerate() {
                        let depth = canvas.depth;
                        unpacker.unpack(samples, depth, canvas.row(x, y + row, size.0));
                    }
                }
            }
        }
        Ok(())
    }

    fn decode_strips(
        &self,
        layout: &Layout,
        unpackers: &[Unpacker],
        canvas: &mut Canvas,
    ) -> Result<(), String> {
        let handle = self.handle.as_ptr();
        let all = u32::MAX;
        let rows = match self.long(ROWS_PER_STRIP) {
            Some(rows) if rows != all => rows as usize,
            _ => layout.height,
        };
        // SAFETY: the handle is open.
        let (bytes, row_bytes) = unsafe {
            ((self.functions.strip_size)(handle), (self.functions.scanline_size)(handle))
        };
        let (bytes, row_bytes) = (bytes.max(0) as usize, row_bytes.max(0) as usize);
        let row_bits = layout.width.saturating_mul(layout.unpacker.bits);
        let expected = (row_bits / unpackers.len()).div_ceil(8);
        let sound =
            rows > 0 && rows <= MAX_BYTES && bytes <= expected.saturating_mul(rows);
        if !sound || bytes >= MAX_BYTES || row_bytes == 0 || expected > row_bytes {
            return Err("its strips have another size than their samples".to_owned());
        }
        let mut buffer = vec![0; bytes];
        for y in (0..layout.height).step_by(rows) {
            for (plane, unpacker) in unpackers.iter().enumerate() {
                // SAFETY: the buffer has a strip's size.
                let read = unsafe {
                    let strip =
                        (self.functions.compute_strip)(handle, y as u32, plane as u16);
                    (self.functions.read_strip)(
                        handle,
                        strip,
                        buffer.as_mut_ptr(),
                        bytes as isize,
                    )
                };
                if read == -1 {
                    return Err("libtiff cannot read a strip".to_owned());
                }
                let count = rows.min(layout.height - y);
                if count.saturating_mul(row_bytes) > bytes {
                    return Err(
                        "its strips have another size than their samples".to_owned()
                    );
                }
                for (row, samples) in
                    buffer.chunks_exact(row_bytes).take(count).enumerate()
                {
                    let depth = canvas.depth;
                    let out = canvas.row(0, y + row, layout.width);
                    unpacker.unpack(samples, depth, out);
                }
            }
        }
        Ok(())
    }

    /// A tag of 32 bits.
    fn long(&self, tag: u32) -> Option<u32> {
        let mut value = 0_u32;
        // SAFETY: the callers' tags give a uint32_t.
        let found = unsafe {
            (self.functions.get_field)(self.handle.as_ptr(), tag, &raw mut value)
        };
        (found == 1).then_some(value)
    }

    /// A tag of 16 bits.
    fn short(&self, tag: u32) -> Option<u16> {
        let mut value = 0_u16;
        // SAFETY: the callers' tags give a uint16_t.
        let found = unsafe {
            (self.functions.get_field)(self.handle.as_ptr(), tag, &raw mut value)
        };
        (found == 1).then_some(value)
    }

    /// A tag of 16 bits, or its default.
    fn short_or_default(&self, tag: u32) -> Option<u16> {
        let mut value = 0_u16;
        // SAFETY: the callers' tags give a uint16_t.
        let found = unsafe {
            (self.functions.get_field_defaulted)(
                self.handle.as_ptr(),
                tag,
                &raw mut value,
            )
        };
        (found == 1).then_some(value)
    }
}

impl Drop for Tiff<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed only here.
        unsafe { (self.functions.close)(self.handle.as_ptr()) };
    }
}

unsafe extern "C" fn read(file: *mut File, out: *mut u8, length: isize) -> isize {
    // SAFETY: libtiff gives back the file that `open` gave it.
    let file = unsafe { &mut *file };
    let length = usize::try_from(length).unwrap_or(0);
    let start = usize::try_from(file.position).unwrap_or(usize::MAX);
    let rest = file.bytes.get(start..).unwrap_or_default();
    let count = rest.len().min(length);
    // SAFETY: libtiff has room for `length` bytes at `out`. They may be uninitialised, so
    // no slice is made of them. The memory is libtiff's own.
    unsafe { std::ptr::copy_nonoverlapping(rest.as_ptr(), out, count) };
    file.position += count as u64;
    count as isize
}

unsafe extern "C" fn write(_: *mut File, _: *mut u8, _: isize) -> isize {
    -1
}

unsafe extern "C" fn seek(file: *mut File, offset: u64, whence: c_int) -> u64 {
    // SAFETY: libtiff gives back the file that `open` gave it.
    let file = unsafe { &mut *file };
    let from = match whence {
        libc::SEEK_CUR => file.position,
        libc::SEEK_END => file.bytes.len() as u64,
        _ => 0,
    };
    file.position = from.wrapping_add(offset);
    file.position
}

unsafe extern "C" fn close(_: *mut File) -> c_int {
    0
}

unsafe extern "C" fn size(file: *mut File) -> u64 {
    // SAFETY: libtiff gives back the file that `open` gave it.
    let file = unsafe { &*file };
    file.bytes.len() as u64
}

unsafe extern "C" fn map(
    file: *mut File,
    base: *mut *const u8,
    length: *mut u64,
) -> c_int {
    // SAFETY: libtiff gives back the file that `open` gave it, and valid pointers for
    // both results.
    unsafe {
        let file = &*file;
        *base = file.bytes.as_ptr();
        *length = file.bytes.len() as u64;
    }
    1
}

unsafe extern "C" fn unmap(_: *mut File, _: *mut u8, _: u64) {}
