//! Where the arrays of a shard are, and how to read their elements.

use std::ops::Range;

use super::{DType, Field, Header, Storage};
use crate::{Error, Result};

/// The largest number of elements in an image (256 Mi), as in a pipeline's sample.
const MAX_ELEMENTS: usize = 1 << 28;

/// The byte ranges of a shard's arrays.
pub(super) struct Arrays {
    pub storage: Storage,
    /// The bytes of all images.
    pub images: Range<usize>,
    sizes: Sizes,
    label: Range<usize>,
    source_end: Range<usize>,
    source: Range<usize>,
}

/// The sizes of the images.
enum Sizes {
    /// All have this shape, `[C, H, W]`, and this many bytes.
    One { shape: [usize; 3], bytes: usize },
    /// Each image has its own.
    Each(EachSize),
}

struct EachSize {
    channels: usize,
    /// The bytes in a unit of `image_end`: those of a pixel, or 1 for files.
    unit: usize,
    /// `image_end`, `[count]`.
    ends: Range<usize>,
    /// `image_size`, `[count, 2]`: height and width.
    sizes: Range<usize>,
    /// `image_crc32c`, `[count]`.
    checksums: Range<usize>,
}

impl Arrays {
    /// Finds the arrays in a header and checks their types and shapes.
    pub fn of(header: &Header) -> Result<Self> {
        let storage = header.storage()?;
        let label = counted(header, "label", &[])?;
        let source_end = counted(header, "source_end", &[])?;
        let source = typed(header, "source", Some(DType::Uint8))?;
        let (images, sizes) = match storage {
            Storage::Array => Self::of_one_size(header)?,
            Storage::Pixels | Storage::Encoded => Self::of_each_size(header, storage)?,
        };
        Ok(Self {
            storage,
            images,
            sizes,
            label: range(label)?,
            source_end: range(source_end)?,
            source: range(source)?,
        })
    }

    fn of_one_size(header: &Header) -> Result<(Range<usize>, Sizes)> {
        let damaged = || Error::failed("the header is damaged (the shape of `image`)");
        let image = typed(header, "image", None)?;
        let shape = header.image_shape()?.ok_or_else(damaged)?;
        if image.shape[0] != header.count {
            return Err(wrong_shape(image, header.count));
        }
        let mut bytes = image.dtype.size() as usize;
        for side in shape {
            bytes = bytes.checked_mul(side).ok_or_else(damaged)?;
        }
        Ok((range(image)?, Sizes::One { shape, bytes }))
    }

    fn of_each_size(header: &Header, storage: Storage) -> Result<(Range<usize>, Sizes)> {
        let images = typed(header, storage.field_name(), Some(DType::Uint8))?;
        let channels = header.channels()?;
        let unit = match (storage, &images.shape[..]) {
            (Storage::Encoded, [_]) => 1,
            (Storage::Pixels, [_, 1 | 3]) => channels,
            _ => return Err(wrong_shape(images, header.count)),
        };
        let ends = counted(header, "image_end", &[])?;
        let sizes = counted(header, "image_size", &[2])?;
        let checksums = counted(header, "image_crc32c", &[])?;
        let each = EachSize {
            channels,
            unit,
            ends: range(ends)?,
            sizes: range(sizes)?,
            checksums: range(checksums)?,
        };
        Ok((range(images)?, Sizes::Each(each)))
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.label.len() / size_of::<i64>()
    }

    /// Checks that each label has a class, that each source and each image lies within
    /// its array, and that the pixels match their size.
    pub fn check(&self, bytes: &[u8], classes: usize) -> Result<()> {
        for i in 0..self.count() {
            let label = self.label(bytes, i);
            if !(0..classes as i64).contains(&label) {
                return Err(Error::failed(format_args!(
                    "image {i} has label {label}, but there are {classes} classes"
                )));
            }
        }
        check_ends(&bytes[self.source_end.clone()], self.source.len(), "source")?;
        if let Sizes::Each(each) = &self.sizes {
            let units = self.images.len() / each.unit;
            check_ends(&bytes[each.ends.clone()], units, "data")?;
            (0..self.count()).try_for_each(|i| self.check_size(bytes, each, i))?;
        }
        Ok(())
    }

    fn check_size(&self, bytes: &[u8], each: &EachSize, i: usize) -> Result<()> {
        let [height, width] = each.size(bytes, i);
        let pixels = match (usize::try_from(height), usize::try_from(width)) {
            (Ok(height), Ok(width)) => height.checked_mul(width).unwrap_or(0),
            _ => 0,
        };
        if pixels == 0 || pixels > MAX_ELEMENTS / each.channels {
            return Err(Error::failed(format_args!(
                "image {i} is {height}x{width} pixels, which it cannot be"
            )));
        }
        let stored = self.place(bytes, i).len() / each.unit;
        if self.storage == Storage::Pixels && stored != pixels {
            return Err(Error::failed(format_args!(
                "image {i} is {height}x{width} pixels, but {stored} are stored"
            )));
        }
        Ok(())
    }

    /// The byte range of image `i` within the images' bytes.
    pub fn place(&self, bytes: &[u8], i: usize) -> Range<usize> {
        match &self.sizes {
            Sizes::One { bytes: size, .. } => i * size..(i + 1) * size,
            Sizes::Each(each) => {
                let place = between(&bytes[each.ends.clone()], i);
                place.start * each.unit..place.end * each.unit
            }
        }
    }

    /// Image `i`'s shape as `[C, H, W]`.
    pub fn shape(&self, bytes: &[u8], i: usize) -> [usize; 3] {
        match &self.sizes {
            Sizes::One { shape, .. } => *shape,
            Sizes::Each(each) => {
                let [height, width] = each.size(bytes, i);
                [each.channels, height as usize, width as usize]
            }
        }
    }

    /// Image `i`'s own checksum, if images have checksums.
    pub fn checksum(&self, bytes: &[u8], i: usize) -> Option<i64> {
        match &self.sizes {
            Sizes::One { .. } => None,
            Sizes::Each(each) => Some(int64(&bytes[each.checksums.clone()], i)),
        }
    }

    /// Image `i`'s label.
    pub fn label(&self, bytes: &[u8], i: usize) -> i64 {
        int64(&bytes[self.label.clone()], i)
    }

    /// The byte range of image `i`'s source in the shard.
    pub fn source(&self, bytes: &[u8], i: usize) -> Range<usize> {
        let place = between(&bytes[self.source_end.clone()], i);
        self.source.start + place.start..self.source.start + place.end
    }
}

impl EachSize {
    /// Image `i`'s height and width.
    fn size(&self, bytes: &[u8], i: usize) -> [i64; 2] {
        let sizes = &bytes[self.sizes.clone()];
        [int64(sizes, 2 * i), int64(sizes, 2 * i + 1)]
    }
}

/// Checks that ends do not decrease, and that none is greater than `total`.
fn check_ends(ends: &[u8], total: usize, what: &str) -> Result<()> {
    let mut before = 0;
    for i in 0..ends.len() / size_of::<i64>() {
        let end = int64(ends, i);
        if end < before || end > total as i64 {
            return Err(Error::failed(format_args!(
                "the {what} of image {i} ends at {end}, outside its array"
            )));
        }
        before = end;
    }
    Ok(())
}

/// The range of element `i`, if each begins where the previous one ends.
fn between(ends: &[u8], i: usize) -> Range<usize> {
    let start = if i == 0 { 0 } else { int64(ends, i - 1) };
    start as usize..int64(ends, i) as usize
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

/// The int64 field of this name, which must have the shape `[count, ...rest]`.
fn counted<'a>(header: &'a Header, name: &str, rest: &[u64]) -> Result<&'a Field> {
    let field = typed(header, name, Some(DType::Int64))?;
    if field.shape.split_first() == Some((&header.count, rest)) {
        return Ok(field);
    }
    Err(wrong_shape(field, header.count))
}

fn wrong_shape(field: &Field, count: u64) -> Error {
    Error::failed(format_args!(
        "`{}` is {:?} for {count} images",
        field.name, field.shape
    ))
}

/// The byte range of a field; opening the shard has checked that it exists.
pub(super) fn range(field: &Field) -> Result<Range<usize>> {
    let end = field.bytes().and_then(|n| field.offset.checked_add(n));
    match end {
        Some(end) => Ok(field.offset as usize..end as usize),
        None => Err(Error::failed(format_args!(
            "the header is damaged (the shape of field `{}`)",
            field.name
        ))),
    }
}

/// Element `i` of an array of little-endian int64.
fn int64(array: &[u8], i: usize) -> i64 {
    i64::from_le_bytes(array.as_chunks::<8>().0[i])
}
