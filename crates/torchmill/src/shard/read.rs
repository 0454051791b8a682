//! Reading a shard: mapped, not copied, and checked before anything in it is believed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::header::{ALIGN, MAGIC, PREFIX};
use super::{DType, Field, Header, MAX_HEADER, VERSION};
use crate::{Context, Error, Result};

/// One shard, mapped (or held in memory, where it came through a pipe).
pub struct Shard {
    bytes: Bytes,
    header: Header,
    path: PathBuf,
}

impl Shard {
    /// Maps a shard and checks its structure: magic, version, sizes, schema, and that
    /// every label has a class. The arrays' checksums are left to [`Shard::verify`],
    /// which reads every byte.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = File::open(&path).doing("open", &path)?;
        if !file.metadata().doing("read", &path)?.is_file() {
            return Err(Error::failed(format_args!(
                "{} is not a file, so no shard",
                path.display()
            )));
        }
        // SAFETY: the map is valid while nobody shortens the file. Shards are never
        // changed in place: a new one is written beside it and renamed, which leaves this
        // map on the old one.
        let map = unsafe { Mmap::map(&file) }.doing("map", &path)?;
        let header = parse(&map).map_err(|e| e.within(path.display()))?;
        Ok(Self { bytes: Bytes::Mapped(map), header, path })
    }

    /// Reads the next shard of a stream, `name`d for messages, and checks it as
    /// [`Shard::open`] does. `None` at the stream's end. Memory grows with what arrives,
    /// not with what a header promises.
    pub fn read_from(stream: &mut impl Read, name: &str) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut more = |bytes: &mut Vec<u8>, upto: u64| {
            let missing = upto.saturating_sub(bytes.len() as u64);
            stream.take(missing).read_to_end(bytes).doing("read", name)
        };
        more(&mut bytes, PREFIX as u64)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let fields = match bytes.get(12..16) {
            Some(&[a, b, c, d]) if bytes.starts_with(&MAGIC) => {
                let length = u32::from_le_bytes([a, b, c, d]).min(MAX_HEADER);
                more(&mut bytes, PREFIX as u64 + u64::from(length))?;
                // Whatever is wrong with the header is found, and said, below.
                bytes.get(PREFIX..).and_then(|h| Header::decode(h).ok()).map(|h| h.fields)
            }
            _ => None,
        };
        let end = |f: &Field| f.bytes().and_then(|n| f.offset.checked_add(n));
        let end = fields.iter().flatten().filter_map(end).max().unwrap_or_default();
        more(&mut bytes, end)?;
        let header = parse(&bytes).map_err(|e| e.within(name))?;
        Ok(Some(Self { bytes: Bytes::Read(bytes), header, path: name.into() }))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks every array's checksum.
    pub fn verify(&self) -> Result<()> {
        for field in &self.header.fields {
            if crc32c::crc32c(array(&self.bytes, field)?) != field.crc32c {
                return Err(Error::failed(format_args!(
                    "{}: the checksum of `{}` (at offset {}) is wrong: the file is damaged, write it again with prep",
                    self.path.display(),
                    field.name,
                    field.offset
                )));
            }
        }
        Ok(())
    }

    /// The bytes of an array, in row-major order.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let field = self.header.field(name);
        let field = field.ok_or_else(|| {
            Error::failed(format_args!("{}: has no field `{name}`", self.path.display()))
        })?;
        array(&self.bytes, field)
    }

    /// Image `i`'s label, an index into [`Meta::classes`](super::Meta::classes).
    pub fn label(&self, i: usize) -> Result<i64> {
        int64(self.bytes("label")?, i)
    }

    /// Where image `i` came from: a path, or `data_batch_1.bin:17` for a record of a
    /// larger file.
    pub fn source(&self, i: usize) -> Result<String> {
        let ends = self.bytes("source_end")?;
        let start = if i == 0 { 0 } else { int64(ends, i - 1)? };
        let end = int64(ends, i)?;
        let text = self.bytes("source")?.get(start as usize..end as usize);
        let text =
            text.ok_or_else(|| Error::failed("a source lies outside its array"))?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// A shard's bytes, wherever they are.
enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

/// Checks the shard in `bytes` and returns its header: the whole of what is believed
/// about a shard.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    let fail = |what: String| Err(Error::failed(what));
    if bytes.len() < PREFIX || bytes[..8] != MAGIC {
        return fail(
            "is not a torchmill shard (it does not start with TMSHARD)".to_owned(),
        );
    }
    let word = |at: usize| {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    let (version, length, checksum) = (word(8), word(12), word(16));
    if version != VERSION {
        return fail(format!(
            "is a version {version} shard; this program reads version {VERSION}: write it again"
        ));
    }
    let header = match bytes.get(PREFIX..PREFIX + length as usize) {
        Some(header) if length <= MAX_HEADER => header,
        _ => {
            return fail(format!(
                "is truncated: it has {} bytes, its header alone asks for {length}",
                bytes.len()
            ));
        }
    };
    if crc32c::crc32c(header) != checksum {
        return fail(
            "the checksum of the header is wrong: the file is damaged, write it again with prep".to_owned(),
        );
    }
    let header = Header::decode(header)?;
    let mut end = (PREFIX + length as usize) as u64;
    for field in &header.fields {
        let after = field.bytes().and_then(|n| field.offset.checked_add(n));
        match after {
            Some(after)
                if after <= bytes.len() as u64
                    && field.offset >= end
                    && field.offset % ALIGN == 0 =>
            {
                end = after;
            }
            Some(after) if after > bytes.len() as u64 => {
                return fail(format!(
                    "is truncated: it has {} bytes, its field `{}` ends at {after}",
                    bytes.len(),
                    field.name
                ));
            }
            _ => {
                return fail(format!(
                    "the header is damaged (the place of field `{}`)",
                    field.name
                ));
            }
        }
    }
    if end != bytes.len() as u64 {
        return fail(format!(
            "has {} bytes after its last field",
            bytes.len() as u64 - end
        ));
    }
    check_schema(bytes, &header)?;
    Ok(header)
}

fn check_schema(bytes: &[u8], header: &Header) -> Result<()> {
    let of = |name: &str, dtype: Option<DType>| match header.field(name) {
        Some(f) if dtype.is_none_or(|d| d == f.dtype) => Ok(f),
        Some(f) => Err(Error::failed(format_args!(
            "`{name}` is {}, which it cannot be",
            f.dtype.name()
        ))),
        None => Err(Error::failed(format_args!("has no field `{name}`"))),
    };
    let counted = |f: &Field, dims: usize| {
        let fits = f.shape.len() == dims && f.shape[0] == header.count;
        let wrong = || {
            Error::failed(format_args!(
                "`{}` is {:?} for {} images",
                f.name, f.shape, header.count
            ))
        };
        if fits { Ok(()) } else { Err(wrong()) }
    };
    counted(of("image", None)?, 4)?;
    let label = of("label", Some(DType::Int64))?;
    counted(label, 1)?;
    let classes = header.meta.classes.len() as i64;
    let labels = array(bytes, label)?;
    for i in 0..header.count as usize {
        let label = int64(labels, i)?;
        if !(0..classes).contains(&label) {
            return Err(Error::failed(format_args!(
                "image {i} has label {label}, but there are {classes} classes"
            )));
        }
    }
    let ends = of("source_end", Some(DType::Int64))?;
    counted(ends, 1)?;
    let length = of("source", Some(DType::Uint8))?.shape.iter().product::<u64>() as i64;
    let ends = array(bytes, ends)?;
    let mut before = 0;
    for i in 0..header.count as usize {
        let end = int64(ends, i)?;
        if end < before || end > length {
            return Err(Error::failed(format_args!(
                "the source of image {i} ends at {end}, outside its array"
            )));
        }
        before = end;
    }
    Ok(())
}

/// A field's bytes; [`parse`] has checked that they are there.
fn array<'a>(bytes: &'a [u8], field: &Field) -> Result<&'a [u8]> {
    field
        .bytes()
        .and_then(|n| bytes.get(field.offset as usize..(field.offset + n) as usize))
        .ok_or_else(|| {
            Error::failed(format_args!("field `{}` lies outside the file", field.name))
        })
}

fn int64(bytes: &[u8], i: usize) -> Result<i64> {
    let element = bytes.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok());
    element
        .map(i64::from_le_bytes)
        .ok_or_else(|| Error::failed(format_args!("there is no image {i}")))
}
