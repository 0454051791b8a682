//! Reads a shard: it is mapped, not copied, and checked before it is used.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::arrays::{Arrays, range};
use super::header::{ALIGN, MAGIC, PREFIX};
use super::image_pixels::{self, Pixels};
use super::mapped::Mapped;
use super::{Field, Header, MAX_HEADER, Storage, VERSION, VERSION_OF_SIZES};
use crate::dataset::decode;
use crate::transform::{DecodedPart, FilePart};
use crate::{Context, Error, Result};

/// One shard, mapped, or held in memory if it came through a pipe.
pub struct Shard {
    bytes: Bytes,
    header: Header,
    arrays: Arrays,
    path: PathBuf,
}

impl Shard {
    /// Maps a shard and checks its structure: magic, version, sizes, schema, and that
    /// every label has a class. The arrays' checksums are left to [`Shard::verify`],
    /// which reads every byte.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        // The path is checked first, since opening a FIFO waits for a writer.
        let about = std::fs::metadata(&path).doing("open", &path)?;
        if about.is_dir() {
            return Err(Error::failed(format_args!(
                "{}: is a folder, and a shard is a file",
                path.display()
            )));
        }
        if !about.is_file() {
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
        let classes = header.meta.classes.len();
        arrays.check(&bytes, classes).map_err(|e| e.within(path.display()))?;
        Ok(Self { bytes, header, arrays, path })
    }

    /// Reads the next shard of a stream, called `name` in messages, and checks it as
    /// [`Shard::open`] does. `None` at the stream's end. Memory grows with the bytes that
    /// arrive, not with the lengths in a header.
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
                // An error in the header is reported below.
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

    /// The path that it was read from, or the stream's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the images are stored.
    pub fn storage(&self) -> Storage {
        self.arrays.storage
    }

    /// Checks every array's checksum.
    pub fn verify(&self) -> Result<()> {
        self.header.fields.iter().try_for_each(|field| self.verify_field(field))
    }

    /// Checks the checksums of all arrays except that of images with their own checksums,
    /// which [`Shard::pixels`] checks.
    pub fn verify_index(&self) -> Result<()> {
        for field in &self.header.fields {
            let is_images = field.name == self.storage().field_name();
            if !is_images || self.storage() == Storage::Array {
                self.verify_field(field)?;
            }
        }
        Ok(())
    }

    fn verify_field(&self, field: &Field) -> Result<()> {
        if crc32c::crc32c(&self.bytes[range(field)?]) == field.crc32c {
            return Ok(());
        }
        Err(Error::failed(format_args!(
            "{}: the checksum of `{}` (at offset {}) is wrong: the file is damaged, write \
             it again with prep",
            self.path.display(),
            field.name,
            field.offset
        )))
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.arrays.count()
    }

    /// Whether the shard holds no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all images, one image after the other.
    pub fn images(&self) -> &[u8] {
        &self.bytes[self.arrays.images.clone()]
    }

    /// Image `i`'s stored bytes: `[H, W, C]` little-endian elements, or an image file.
    pub fn image(&self, i: usize) -> Result<&[u8]> {
        self.check_index(i)?;
        Ok(&self.images()[self.arrays.place(&self.bytes, i)])
    }

    /// Image `i`'s shape as `[C, H, W]`.
    pub fn shape(&self, i: usize) -> Result<[usize; 3]> {
        self.check_index(i)?;
        Ok(self.arrays.shape(&self.bytes, i))
    }

    /// Image `i`'s pixels, decoded if the shard stores image files. Errors name the shard
    /// and the image.
    pub fn pixels(&self, i: usize) -> Result<Pixels<'_>> {
        let stored = self.image(i)?;
        let shape = self.arrays.shape(&self.bytes, i);
        self.check_image(i, stored)?;
        let pixels = match self.storage() {
            Storage::Encoded => Pixels::decode(stored, shape),
            Storage::Array | Storage::Pixels => Ok(Pixels::stored(stored, shape)),
        };
        pixels.map_err(|e| self.in_image(i, e))
    }

    /// A part of image `i`, whose pixels are uint8, without decoding the rest. Only image
    /// files can be scaled. Errors name the shard and the image.
    pub fn part(&self, i: usize, part: &FilePart) -> Result<DecodedPart> {
        let stored = self.image(i)?;
        let shape = self.arrays.shape(&self.bytes, i);
        self.check_image(i, stored)?;
        let decoded = match self.storage() {
            Storage::Encoded => image_pixels::decode_part(stored, shape, part),
            Storage::Array | Storage::Pixels => Pixels::stored(stored, shape).part(part),
        };
        decoded.map_err(|e| self.in_image(i, e))
    }

    /// Whether image `i` can be decoded at a smaller scale.
    pub fn can_be_scaled(&self, i: usize) -> bool {
        self.storage() == Storage::Encoded
            && self.image(i).is_ok_and(decode::can_be_scaled)
    }

    /// Checks an image's own checksum, if it has one.
    fn check_image(&self, i: usize, stored: &[u8]) -> Result<()> {
        match self.arrays.checksum(&self.bytes, i) {
            Some(checksum) if i64::from(crc32c::crc32c(stored)) != checksum => {
                let why = "its checksum is wrong: the file is damaged, write it again with \
                           prep";
                Err(self.in_image(i, Error::failed(why)))
            }
            _ => Ok(()),
        }
    }

    fn in_image(&self, i: usize, error: Error) -> Error {
        let source = self.source(i).unwrap_or_default();
        let path = self.path.display();
        error.within(format_args!("{path}: image {i} ({source})"))
    }

    /// Image `i`'s label, an index into [`Meta::classes`](super::Meta::classes).
    pub fn label(&self, i: usize) -> Result<i64> {
        self.check_index(i)?;
        Ok(self.arrays.label(&self.bytes, i))
    }

    /// Where image `i` came from: a path, or `data_batch_1.bin:17` for a record of a
    /// larger file.
    pub fn source(&self, i: usize) -> Result<String> {
        self.check_index(i)?;
        let text = &self.bytes[self.arrays.source(&self.bytes, i)];
        Ok(String::from_utf8_lossy(text).into_owned())
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
}

/// A shard's bytes, mapped or in memory.
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
    let version = word(bytes, 8);
    check_version(version)?;
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
    if header.storage()?.version() != version {
        return Err(Error::failed(format_args!(
            "is damaged: its images are not stored as in version {version}"
        )));
    }
    check_places(&header, PREFIX + length, bytes.len() as u64)?;
    Ok(header)
}

fn check_version(version: u32) -> Result<()> {
    if (VERSION..=VERSION_OF_SIZES).contains(&version) {
        return Ok(());
    }
    let why = if version < VERSION {
        "it is from an earlier version of prep: prepare the data again"
    } else {
        "it is from a later version of prep: update torchmill"
    };
    Err(Error::failed(format_args!(
        "is a shard of version {version}, and this program reads the versions {VERSION} \
         and {VERSION_OF_SIZES}; {why}"
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
