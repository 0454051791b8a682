//! Writes a shard: the header first, so that a shard can be streamed, then each array.

use std::io::Write;
use std::path::Path;

use super::header::{ALIGN, MAGIC, MAX_HEADER, PREFIX};
use super::{DType, Field, Header, Meta, Storage};
use crate::atomic::AtomicFile;
use crate::{Context, Error, Result};

/// The contents of one shard.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// What the images are and which transforms were applied to them.
    pub meta: &'a Meta,
    /// The images.
    pub images: Images<'a>,
    /// Each image's label, an index into [`Meta::classes`]. Their number is the count of
    /// images.
    pub labels: &'a [i64],
    /// Where each image came from.
    pub sources: &'a [String],
}

/// The images of a shard.
#[derive(Debug, Clone, Copy)]
pub enum Images<'a> {
    /// Images of one shape.
    Array {
        /// `[C, H, W]`.
        shape: [usize; 3],
        /// The type of the elements.
        dtype: DType,
        /// `[count, H, W, C]`, as little-endian bytes.
        bytes: &'a [u8],
    },
    /// The uint8 pixels of images of different sizes.
    Pixels {
        /// 1 or 3, the same for all images.
        channels: usize,
        /// The images.
        images: &'a [StoredImage],
    },
    /// Image files, which are decoded to RGB when they are read.
    Encoded(&'a [StoredImage]),
}

/// One image with its own size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// uint8 `[H, W, C]`, or an image file.
    pub bytes: Vec<u8>,
    /// Rows of the (decoded) image.
    pub height: usize,
    /// Columns of the (decoded) image.
    pub width: usize,
}

/// An array of a shard: its field in the header, and its bytes in one piece or several.
struct Array<'a> {
    field: Field,
    parts: Vec<&'a [u8]>,
}

impl Images<'_> {
    fn storage(&self) -> Storage {
        match self {
            Self::Array { .. } => Storage::Array,
            Self::Pixels { .. } => Storage::Pixels,
            Self::Encoded(_) => Storage::Encoded,
        }
    }
}

/// Writes one shard to `out`, front to back: a file or a pipe.
///
/// Fails if the parts of `contents` differ in their number of images, or if `out` fails.
pub fn write_to(out: &mut impl Write, contents: &Contents) -> Result<()> {
    let labels = int64s(contents.labels.iter().copied());
    let sources = contents.sources.concat();
    let source_ends = ends(contents.sources.iter().map(String::len));
    let index = ImageIndex::new(contents.images);
    let count = contents.labels.len() as u64;
    let mut arrays = image_arrays(contents.images, &index, count)?;
    arrays.push(array("label", DType::Int64, vec![count], vec![&labels])?);
    arrays.push(array("source_end", DType::Int64, vec![count], vec![&source_ends])?);
    let text = sources.as_bytes();
    arrays.push(array("source", DType::Uint8, vec![text.len() as u64], vec![text])?);
    let header = place(contents, &mut arrays)?;

    let mut put = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|e| Error::io("cannot write the shard", e))
    };
    put(&MAGIC)?;
    put(&contents.images.storage().version().to_le_bytes())?;
    put(&(header.len() as u32).to_le_bytes())?;
    put(&crc32c::crc32c(&header).to_le_bytes())?;
    put(&[0; 4])?;
    put(&header)?;
    let mut end = (PREFIX + header.len()) as u64;
    for array in arrays {
        let padding = array.field.offset - end;
        put(&[0; ALIGN as usize][..padding as usize])?;
        end = array.field.offset;
        for part in array.parts {
            put(part)?;
            end += part.len() as u64;
        }
    }
    Ok(())
}

/// Writes one shard to `path`, complete or not at all.
pub fn write_file(path: &Path, contents: &Contents) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    write_to(&mut file, contents).map_err(|e| e.within(path.display()))?;
    file.flush().doing("write", path)?;
    file.commit()
}

/// A shard's file name: `train-00000-of-00005.shard`.
pub fn file_name(split: &str, index: u32, shards: u32) -> String {
    format!("{split}-{index:05}-of-{shards:05}.shard")
}

/// The index of images of different sizes, each array as little-endian int64; empty for
/// images of one size.
#[derive(Default)]
struct ImageIndex {
    ends: Vec<u8>,
    sizes: Vec<u8>,
    checksums: Vec<u8>,
}

impl ImageIndex {
    fn new(images: Images) -> Self {
        let (unit, images) = match images {
            Images::Array { .. } => return Self::default(),
            Images::Pixels { channels, images } => (channels.max(1), images),
            Images::Encoded(images) => (1, images),
        };
        let size = |image: &StoredImage| [image.height as i64, image.width as i64];
        let checksum = |image: &StoredImage| i64::from(crc32c::crc32c(&image.bytes));
        Self {
            ends: ends(images.iter().map(|image| image.bytes.len() / unit)),
            sizes: int64s(images.iter().flat_map(size)),
            checksums: int64s(images.iter().map(checksum)),
        }
    }
}

fn int64s(values: impl Iterator<Item = i64>) -> Vec<u8> {
    values.flat_map(i64::to_le_bytes).collect()
}

/// The end of each element if they are stored one after the other, as little-endian
/// int64.
fn ends(lengths: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut end = 0;
    int64s(lengths.map(|length| {
        end += length as i64;
        end
    }))
}

/// The arrays that hold the images; their offsets are not known yet.
fn image_arrays<'a>(
    images: Images<'a>,
    index: &'a ImageIndex,
    count: u64,
) -> Result<Vec<Array<'a>>> {
    let name = images.storage().field_name();
    let (shape, images) = match images {
        Images::Array { shape, dtype, bytes } => {
            let [channels, height, width] = shape.map(|n| n as u64);
            let shape = vec![count, height, width, channels];
            return Ok(vec![array(name, dtype, shape, vec![bytes])?]);
        }
        Images::Pixels { channels, images } => {
            for image in images {
                check_pixels(image, channels)?;
            }
            (vec![bytes_of(images) / channels.max(1) as u64, channels as u64], images)
        }
        Images::Encoded(images) => (vec![bytes_of(images)], images),
    };
    let parts = images.iter().map(|image| &image.bytes[..]).collect();
    Ok(vec![
        array(name, DType::Uint8, shape, parts)?,
        array("image_end", DType::Int64, vec![count], vec![&index.ends])?,
        array("image_size", DType::Int64, vec![count, 2], vec![&index.sizes])?,
        array("image_crc32c", DType::Int64, vec![count], vec![&index.checksums])?,
    ])
}

fn bytes_of(images: &[StoredImage]) -> u64 {
    images.iter().map(|image| image.bytes.len() as u64).sum()
}

fn check_pixels(image: &StoredImage, channels: usize) -> Result<()> {
    let StoredImage { bytes, height, width } = image;
    if bytes.len() == height * width * channels {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "an image of [{channels}, {height}, {width}] cannot have {} bytes",
        bytes.len()
    )))
}

fn array<'a>(
    name: &str,
    dtype: DType,
    shape: Vec<u64>,
    parts: Vec<&'a [u8]>,
) -> Result<Array<'a>> {
    let mut crc32c = 0;
    let mut length = 0;
    for part in &parts {
        crc32c = crc32c::crc32c_append(crc32c, part);
        length += part.len() as u64;
    }
    let field = Field { name: name.to_owned(), dtype, shape, offset: 0, crc32c };
    if field.bytes() != Some(length) {
        return Err(Error::failed(format_args!(
            "`{name}` has {length} bytes, which do not make up {:?} of {}",
            field.shape,
            dtype.name()
        )));
    }
    Ok(Array { field, parts })
}

/// Gives each array its offset and returns the encoded header.
fn place(contents: &Contents, arrays: &mut [Array]) -> Result<Vec<u8>> {
    let header = |arrays: &[Array]| Header {
        count: contents.labels.len() as u64,
        meta: contents.meta.clone(),
        fields: arrays.iter().map(|array| array.field.clone()).collect(),
    };
    // Integers have a fixed width, so the offsets do not change the header's length.
    let length = header(arrays).encode()?.len();
    if length > MAX_HEADER as usize {
        return Err(Error::failed(
            "the header would be over 64 MiB: too many or too long class names",
        ));
    }
    let mut end = (PREFIX + length) as u64;
    for array in &mut *arrays {
        array.field.offset = end.next_multiple_of(ALIGN);
        let bytes: usize = array.parts.iter().map(|part| part.len()).sum();
        end = array.field.offset + bytes as u64;
    }
    header(arrays).encode()
}
