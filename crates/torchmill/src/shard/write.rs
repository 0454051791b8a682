//! Writing a shard: the header first, so that a shard can be streamed, then each array.

use std::io::Write;
use std::path::Path;

use super::header::{ALIGN, MAGIC, MAX_HEADER, PREFIX};
use super::{DType, Field, Header, Meta, VERSION};
use crate::atomic::AtomicFile;
use crate::{Context, Error, Result};

/// What one shard holds.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// What the images are and what was done to them.
    pub meta: &'a Meta,
    /// The shape of an image as `[C, H, W]`.
    pub shape: [usize; 3],
    /// The type of the images' elements.
    pub dtype: DType,
    /// The images, `[count, H, W, C]`, as little-endian bytes.
    pub images: &'a [u8],
    /// Each image's label, an index into [`Meta::classes`]. Their number is the count.
    pub labels: &'a [i64],
    /// Where each image came from.
    pub sources: &'a [String],
}

/// An array of a shard: its place in the header and its bytes.
struct Array<'a> {
    field: Field,
    bytes: &'a [u8],
}

/// Writes one shard to `out`, front to back: a file or a pipe.
///
/// Fails where the parts of `contents` differ in their number of images, and when `out`
/// does.
pub fn write_to(out: &mut impl Write, contents: &Contents) -> Result<()> {
    let labels: Vec<u8> = contents.labels.iter().flat_map(|l| l.to_le_bytes()).collect();
    let sources = contents.sources.concat();
    let ends = source_ends(contents.sources);
    let mut arrays = arrays(contents, &labels, &ends, sources.as_bytes())?;
    let header = place(contents, &mut arrays)?;

    let mut put = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|e| Error::io("cannot write the shard", e))
    };
    put(&MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&(header.len() as u32).to_le_bytes())?;
    put(&crc32c::crc32c(&header).to_le_bytes())?;
    put(&[0; 4])?;
    put(&header)?;
    let mut end = (PREFIX + header.len()) as u64;
    for array in arrays {
        let padding = array.field.offset - end;
        put(&[0; ALIGN as usize][..padding as usize])?;
        put(array.bytes)?;
        end = array.field.offset + array.bytes.len() as u64;
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

/// Where each source's text ends in the text of them all, as little-endian int64.
fn source_ends(sources: &[String]) -> Vec<u8> {
    let mut end = 0;
    let mut ends = Vec::with_capacity(sources.len() * 8);
    for source in sources {
        end += source.len() as i64;
        ends.extend(end.to_le_bytes());
    }
    ends
}

/// The four arrays, whose offsets are not known yet.
fn arrays<'a>(
    contents: &Contents<'a>,
    labels: &'a [u8],
    ends: &'a [u8],
    sources: &'a [u8],
) -> Result<[Array<'a>; 4]> {
    let count = contents.labels.len() as u64;
    let [channels, height, width] = contents.shape.map(|n| n as u64);
    let images = vec![count, height, width, channels];
    Ok([
        array("image", contents.dtype, images, contents.images)?,
        array("label", DType::Int64, vec![count], labels)?,
        array("source_end", DType::Int64, vec![count], ends)?,
        array("source", DType::Uint8, vec![sources.len() as u64], sources)?,
    ])
}

fn array<'a>(
    name: &str,
    dtype: DType,
    shape: Vec<u64>,
    bytes: &'a [u8],
) -> Result<Array<'a>> {
    let crc32c = crc32c::crc32c(bytes);
    let field = Field { name: name.to_owned(), dtype, shape, offset: 0, crc32c };
    if field.bytes() != Some(bytes.len() as u64) {
        return Err(Error::failed(format_args!(
            "`{name}` has {} bytes, which do not make up {:?} of {}",
            bytes.len(),
            field.shape,
            dtype.name()
        )));
    }
    Ok(Array { field, bytes })
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
        end = array.field.offset + array.bytes.len() as u64;
    }
    header(arrays).encode()
}
