//! Reading a shard: mapped, not copied, and checked before anything in it is believed.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::header::{ALIGN, MAGIC, PREFIX};
use super::mapped::Mapped;
use super::{DType, Field, Header, MAX_HEADER, VERSION};
use crate::{Context, Error, Result};

/// One shard, mapped (or held in memory, where it came through a pipe).
pub struct Shard {
    bytes: Bytes,
    header: Header,
    arrays: Arrays,
    path: PathBuf,
}

/// Where a shard's arrays are in its bytes.
struct Arrays {
    image: Range<usize>,
    /// The bytes of one image.
    image_size: usize,
    label: Range<usize>,
    source_end: Range<usize>,
    source: Range<usize>,
}

impl Shard {
    /// Maps a shard and checks its structure: magic, version, sizes, schema, and that
    /// every label has a class. The arrays' checksums are left to [`Shard::verify`],
    /// which reads every byte.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        // Asked of the path, since opening a FIFO waits for a writer.
        if !std::fs::metadata(&path).doing("open", &path)?.is_file() {
            return Err(Error::failed(format_args!(
                "{}: is not a regular file, so it cannot be a shard; prep --inspect - \
                 reads a stream of shards",
                path.display()
            )));
        }
        let file = File::open(&path).doing("open", &path)?;
        let bytes = Bytes::Mapped(Mapped::new(&file, &path)?);
        Self::new(bytes, path)
    }

    fn new(bytes: Bytes, path: PathBuf) -> Result<Self> {
        let header = parse(&bytes).map_err(|e| e.within(path.display()))?;
        let arrays = Arrays::of(&header).map_err(|e| e.within(path.display()))?;
        let shard = Self { bytes, header, arrays, path };
        shard.check_values().map_err(|e| e.within(shard.path.display()))?;
        Ok(shard)
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
        // Damaged fields are refused below.
        let ends = fields.iter().flatten().filter_map(|field| range(field).ok());
        let end = ends.map(|range| range.end).max().unwrap_or(0);
        more(&mut bytes, end as u64)?;
        Self::new(Bytes::Read(bytes), name.into()).map(Some)
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
            if crc32c::crc32c(&self.bytes[range(field)?]) != field.crc32c {
                return Err(Error::failed(format_args!(
                    "{}: the checksum of `{}` (at offset {}) is wrong: the file is \
                     damaged, write it again with prep",
                    self.path.display(),
                    field.name,
                    field.offset
                )));
            }
        }
        Ok(())
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.arrays.label.len() / size_of::<i64>()
    }

    /// Whether it holds no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All images, `[count, H, W, C]`, as little-endian bytes.
    pub fn images(&self) -> &[u8] {
        &self.bytes[self.arrays.image.clone()]
    }

    /// Image `i`, `[H, W, C]`, as little-endian bytes.
    pub fn image(&self, i: usize) -> Result<&[u8]> {
        self.check_index(i)?;
        let size = self.arrays.image_size;
        Ok(&self.images()[i * size..][..size])
    }

    /// Image `i`'s label, an index into [`Meta::classes`](super::Meta::classes).
    pub fn label(&self, i: usize) -> Result<i64> {
        self.check_index(i)?;
        Ok(int64(&self.bytes[self.arrays.label.clone()], i))
    }

    /// Where image `i` came from: a path, or `data_batch_1.bin:17` for a record of a
    /// larger file.
    pub fn source(&self, i: usize) -> Result<String> {
        self.check_index(i)?;
        let ends = &self.bytes[self.arrays.source_end.clone()];
        let start = if i == 0 { 0 } else { int64(ends, i - 1) };
        let end = int64(ends, i);
        let sources = &self.bytes[self.arrays.source.clone()];
        Ok(String::from_utf8_lossy(&sources[start as usize..end as usize]).into_owned())
    }

    fn check_index(&self, i: usize) -> Result<()> {
        if i < self.len() {
            return Ok(());
        }
        Err(Error::failed(format_args!(
            "{}: there is no image {i}, only {}",
            self.path.display(),
            self.len()
        )))
    }

    /// Checks that each label has a class and each source lies in its array.
    fn check_values(&self) -> Result<()> {
        let classes = self.header.meta.classes.len() as i64;
        let labels = &self.bytes[self.arrays.label.clone()];
        let ends = &self.bytes[self.arrays.source_end.clone()];
        let mut before = 0;
        for i in 0..self.len() {
            let label = int64(labels, i);
            if !(0..classes).contains(&label) {
                return Err(Error::failed(format_args!(
                    "image {i} has label {label}, but there are {classes} classes"
                )));
            }
            let end = int64(ends, i);
            if end < before || end > self.arrays.source.len() as i64 {
                return Err(Error::failed(format_args!(
                    "the source of image {i} ends at {end}, outside its array"
                )));
            }
            before = end;
        }
        Ok(())
    }
}

impl Arrays {
    /// Finds the four arrays in a header and checks their types and shapes.
    fn of(header: &Header) -> Result<Self> {
        let image = counted(header, "image", None, 4)?;
        let label = counted(header, "label", Some(DType::Int64), 1)?;
        let source_end = counted(header, "source_end", Some(DType::Int64), 1)?;
        let source = typed(header, "source", Some(DType::Uint8))?;
        let [channels, height, width] = header.image_shape()?;
        let elements = [channels, height, width]
            .iter()
            .try_fold(image.dtype.size() as usize, |n, &d| n.checked_mul(d));
        let Some(image_size) = elements else {
            return Err(Error::failed("the header is damaged (the shape of `image`)"));
        };
        Ok(Self {
            image: range(image)?,
            image_size,
            label: range(label)?,
            source_end: range(source_end)?,
            source: range(source)?,
        })
    }
}

/// The field of this name, which must have this type.
fn typed<'a>(header: &'a Header, name: &str, dtype: Option<DType>) -> Result<&'a Field> {
    let Some(field) = header.field(name) else {
        return Err(Error::failed(format_args!("has no field `{name}`")));
    };
    if dtype.is_some_and(|expected| expected != field.dtype) {
        return Err(Error::failed(format_args!(
            "`{name}` is {}, which it cannot be",
            field.dtype.name()
        )));
    }
    Ok(field)
}

/// The same for a field with as many dimensions, the first of which is the number of
/// images.
fn counted<'a>(
    header: &'a Header,
    name: &str,
    dtype: Option<DType>,
    dimensions: usize,
) -> Result<&'a Field> {
    let field = typed(header, name, dtype)?;
    if field.shape.len() == dimensions && field.shape[0] == header.count {
        return Ok(field);
    }
    Err(Error::failed(format_args!(
        "`{name}` is {:?} for {} images",
        field.shape, header.count
    )))
}

/// Where a field's bytes are; [`parse`] has checked that they are there.
fn range(field: &Field) -> Result<Range<usize>> {
    let end = field.bytes().and_then(|n| field.offset.checked_add(n));
    match end {
        Some(end) => Ok(field.offset as usize..end as usize),
        None => Err(Error::failed(format_args!(
            "the header is damaged (the shape of field `{}`)",
            field.name
        ))),
    }
}

/// A shard's bytes, wherever they are.
enum Bytes {
    Mapped(Mapped),
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

/// Checks the structure of the shard in `bytes` and returns its header.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    if bytes.len() < PREFIX || bytes[..8] != MAGIC {
        return Err(Error::failed(
            "is not a torchmill shard (it does not start with TMSHARD)",
        ));
    }
    check_version(word(bytes, 8))?;
    let length = word(bytes, 12) as usize;
    let header = match bytes.get(PREFIX..PREFIX + length) {
        Some(header) if length <= MAX_HEADER as usize => header,
        _ => {
            return Err(Error::failed(format_args!(
                "is truncated: it has {} bytes, its header says that it has {length} \
                 itself",
                bytes.len()
            )));
        }
    };
    if crc32c::crc32c(header) != word(bytes, 16) {
        return Err(Error::failed(
            "the checksum of the header is wrong: the file is damaged, write it again \
             with prep",
        ));
    }
    let header = Header::decode(header)?;
    check_places(&header, PREFIX + length, bytes.len() as u64)?;
    Ok(header)
}

fn check_version(version: u32) -> Result<()> {
    if version == VERSION {
        return Ok(());
    }
    let why = if version < VERSION {
        "it is from an earlier version of prep: prepare the data again"
    } else {
        "it is from a later version of prep: update torchmill"
    };
    Err(Error::failed(format_args!(
        "is a shard of version {version}, and this program reads version {VERSION}; {why}"
    )))
}

/// Checks that the arrays follow one another to the end of the file.
fn check_places(header: &Header, start: usize, length: u64) -> Result<()> {
    let mut end = start as u64;
    for field in &header.fields {
        let after = field.bytes().and_then(|n| field.offset.checked_add(n));
        let is_aligned = field.offset >= end && field.offset % ALIGN == 0;
        match after {
            Some(after) if after > length => {
                return Err(Error::failed(format_args!(
                    "is truncated: it has {length} bytes, its field `{}` ends at {after}",
                    field.name
                )));
            }
            Some(after) if is_aligned => end = after,
            _ => {
                return Err(Error::failed(format_args!(
                    "the header is damaged (the offset of field `{}`)",
                    field.name
                )));
            }
        }
    }
    if end != length {
        return Err(Error::failed(format_args!(
            "has {} bytes after its last field",
            length - end
        )));
    }
    Ok(())
}

/// The little-endian u32 at an offset within the prefix.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Element `i` of an array of little-endian int64.
fn int64(array: &[u8], i: usize) -> i64 {
    i64::from_le_bytes(array.as_chunks::<8>().0[i])
}
