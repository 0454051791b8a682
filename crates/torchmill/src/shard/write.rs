//! Writing a shard: the header first, so that a shard can be streamed, then each array.

use std::io::Write;
use std::path::Path;

use super::header::{ALIGN, MAGIC, MAX_HEADER, PREFIX};
use super::{DType, Field, Header, Meta, VERSION};
use crate::atomic::AtomicFile;
use crate::{Context, Error, Result};

/// An array to be written: its name, dtype, whole shape (the count first) and row-major
/// little-endian bytes.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    /// `image`, `label`, `source_end` or `source`.
    pub name: &'a str,
    /// The type of the elements.
    pub dtype: DType,
    /// The shape, the count first.
    pub shape: &'a [u64],
    /// The elements.
    pub bytes: &'a [u8],
}

/// Writes one shard of `count` images to `out`, sequentially: a file or a pipe.
///
/// Fails where an array's bytes do not make up its shape, and when `out` does.
pub fn encode(
    out: &mut impl Write,
    count: u64,
    meta: &Meta,
    arrays: &[Array],
) -> Result<()> {
    let mut header = Header { count, meta: meta.clone(), fields: Vec::new() };
    for array in arrays {
        let field = Field {
            name: array.name.to_owned(),
            dtype: array.dtype,
            shape: array.shape.to_vec(),
            offset: 0,
            crc32c: crc32c::crc32c(array.bytes),
        };
        if field.bytes() != Some(array.bytes.len() as u64) {
            return Err(Error::failed(format_args!(
                "`{}` has {} bytes, its shape {:?} of {} asks for another number",
                array.name,
                array.bytes.len(),
                array.shape,
                array.dtype.name()
            )));
        }
        header.fields.push(field);
    }
    // Integers have a fixed width, so the offsets can be filled in without changing the
    // header's length.
    let length = header.encode()?.len();
    if length > MAX_HEADER as usize {
        return Err(Error::failed(
            "the header would be over 64 MiB: too many or too long class names",
        ));
    }
    let mut end = (PREFIX + length) as u64;
    for (field, array) in header.fields.iter_mut().zip(arrays) {
        field.offset = end.next_multiple_of(ALIGN);
        end = field.offset + array.bytes.len() as u64;
    }
    let header_bytes = header.encode()?;

    let mut put = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|e| Error::io("cannot write the shard", e))
    };
    put(&MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&(length as u32).to_le_bytes())?;
    put(&crc32c::crc32c(&header_bytes).to_le_bytes())?;
    put(&[0; 4])?;
    put(&header_bytes)?;
    let mut at = (PREFIX + length) as u64;
    for (field, array) in header.fields.iter().zip(arrays) {
        put(&[0; ALIGN as usize][..(field.offset - at) as usize])?;
        put(array.bytes)?;
        at = field.offset + array.bytes.len() as u64;
    }
    Ok(())
}

/// Writes one shard to `path`, complete or not at all.
pub fn write_file(path: &Path, count: u64, meta: &Meta, arrays: &[Array]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    encode(&mut file, count, meta, arrays).map_err(|e| e.within(path.display()))?;
    file.flush().doing("write", path)?;
    file.commit()
}

/// A shard's file name: `train-00000-of-00005.shard`.
pub fn file_name(split: &str, index: u32, shards: u32) -> String {
    format!("{split}-{index:05}-of-{shards:05}.shard")
}
