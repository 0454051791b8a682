//! The header of a shard: its schema, what the images are, which transforms were applied
//! to them and which are still to be applied.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, encoding};

/// The format's version for images of the same shape, in an array. Version 1 stored them
/// channels first.
pub const VERSION: u32 = 2;

/// The format's version for images of different sizes.
pub const VERSION_OF_SIZES: u32 = 3;

/// The longest header in bytes (64 MiB); a longer one means a damaged file, and is not
/// allocated.
pub const MAX_HEADER: u32 = 64 << 20;

pub(super) const MAGIC: [u8; 8] = *b"TMSHARD\0";
/// Magic, version, header length, header checksum, zero.
pub(super) const PREFIX: usize = 24;
/// Arrays start at multiples of this, so that a mapped array is aligned for any dtype and
/// any vector unit.
pub(super) const ALIGN: u64 = 64;

/// The type of an array's elements, named as PyTorch and numpy name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DType {
    /// 8-bit unsigned integers, 0 to 255: pixels.
    Uint8,
    /// 64-bit signed integers: labels.
    Int64,
    /// IEEE 754 half precision.
    Float16,
    /// The upper half of a float32.
    BFloat16,
    /// IEEE 754 single precision.
    Float32,
}

impl DType {
    /// Bytes an element.
    pub fn size(self) -> u64 {
        match self {
            Self::Uint8 => 1,
            Self::Float16 | Self::BFloat16 => 2,
            Self::Float32 => 4,
            Self::Int64 => 8,
        }
    }

    /// PyTorch's name: `uint8`, `int64`, `float16`, `bfloat16`, `float32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int64 => "int64",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Float32 => "float32",
        }
    }
}

/// How a shard stores its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// An array of elements; all images have one shape.
    Array,
    /// The uint8 pixels of images of different sizes.
    Pixels,
    /// The bytes of image files.
    Encoded,
}

impl Storage {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::Array, Self::Pixels, Self::Encoded];

    /// The name of the field that holds the images.
    pub fn field_name(self) -> &'static str {
        match self {
            Self::Array => "image",
            Self::Pixels => "pixels",
            Self::Encoded => "encoded",
        }
    }

    /// The format version of shards that store images this way.
    pub fn version(self) -> u32 {
        match self {
            Self::Array => VERSION,
            Self::Pixels | Self::Encoded => VERSION_OF_SIZES,
        }
    }
}

/// One array of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The array's name, such as `image` or `label`; see [`Header::fields`].
    pub name: String,
    /// The type of the elements.
    pub dtype: DType,
    /// The whole array's shape, the count first: `[10000, 32, 32, 3]`.
    pub shape: Vec<u64>,
    /// Where the array starts, in bytes from the start of the shard; a multiple of 64.
    pub offset: u64,
    /// CRC-32C of the array's bytes.
    pub crc32c: u32,
}

impl Field {
    /// The array's length in bytes, or `None` if the product of the shape overflows (a
    /// damaged header).
    pub fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |n, &d| n.checked_mul(d))
    }
}

/// What describes the images of a shard. It is the same in every shard of a set except
/// for `index`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The data set's name, such as `cifar10`.
    pub dataset: String,
    /// `train`, `test`, or the split's other name.
    pub split: String,
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// The whole transform pipeline, as text.
    pub pipeline: String,
    /// The part of it that has already been applied to these images.
    pub baked: String,
    /// The part that is applied each time a batch is read (`ToTensor`, random
    /// transforms).
    pub deferred: String,
    /// The index of this shard in the set, from 0.
    pub index: u32,
    /// The number of shards in the set.
    pub shards: u32,
    /// SHA-256, in hexadecimal, over the inputs, the pipeline and the options that made
    /// this set: equal digests mean equal contents.
    pub digest: String,
    /// The program and version that wrote it, `prep 0.1.0`.
    pub writer: String,
}

/// The header of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The number of images.
    pub count: u64,
    /// What the images are.
    pub meta: Meta,
    /// The arrays: the images, `label` `[count]` (int64), and where each image came from,
    /// as UTF-8 text in `source` (uint8). Image `i`'s text ends at `source_end[i]`
    /// (int64), where the next one begins.
    ///
    /// Images of one shape are in `image` `[count, H, W, C]`. Images of different sizes
    /// are in `pixels` `[N, C]` or in `encoded` `[N]` (both uint8); image `i` ends at
    /// `image_end[i]` (int64), where the next one begins. Then `image_size` `[count, 2]`
    /// (int64) has the height and width of each, and `image_crc32c` `[count]` (int64) the
    /// checksum of its bytes.
    pub fields: Vec<Field>,
}

impl Header {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// How the images are stored.
    pub fn storage(&self) -> Result<Storage> {
        let is_stored_so = |storage: &Storage| self.field(storage.field_name()).is_some();
        Storage::ALL
            .into_iter()
            .find(is_stored_so)
            .ok_or_else(|| Error::failed("has no field `image`, `pixels` or `encoded`"))
    }

    /// The shape of the images as `[C, H, W]`, PyTorch's order, or `None` if they may
    /// differ in size.
    pub fn image_shape(&self) -> Result<Option<[usize; 3]>> {
        let Some(field) = self.field(Storage::Array.field_name()) else {
            return Ok(None);
        };
        match field.shape[..] {
            [_, h, w, c] => Ok(Some([c as usize, h as usize, w as usize])),
            _ => Err(Error::failed(format_args!(
                "`image` is {:?}, not [count, H, W, C]",
                field.shape
            ))),
        }
    }

    /// The number of channels of each image.
    pub fn channels(&self) -> Result<usize> {
        match self.storage()? {
            // Image files are decoded to RGB.
            Storage::Encoded => Ok(3),
            storage @ (Storage::Array | Storage::Pixels) => {
                let shape = self.field(storage.field_name()).map(|field| &field.shape);
                let channels = shape.and_then(|shape| shape.last()).copied();
                Ok(channels.unwrap_or(0) as usize)
            }
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        encoding::encode_fixed(self).map_err(|e| e.within("header"))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged =
            |what: String| Error::failed(format_args!("the header is damaged ({what})"));
        let (header, used): (Self, usize) =
            encoding::decode_fixed::<_, { MAX_HEADER as usize }>(bytes)
                .map_err(|e| damaged(e.to_string()))?;
        if used != bytes.len() {
            return Err(damaged(format!("{used} of its {} bytes are used", bytes.len())));
        }
        Ok(header)
    }
}
