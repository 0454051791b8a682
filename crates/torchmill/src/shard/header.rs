//! The header of a shard: its schema, what the images are, what was done to them and what
//! is left to do.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, encoding};

/// The version of the shard format that this library writes and reads. Version 1 held
/// images channels first.
pub const VERSION: u32 = 2;

/// No header is longer than this (64 MiB); a length beyond it is a damaged file, not a
/// reason to allocate.
pub const MAX_HEADER: u32 = 64 << 20;

pub(super) const MAGIC: [u8; 8] = *b"TMSHARD\0";
/// Magic, version, header length, header checksum, zero.
pub(super) const PREFIX: usize = 24;
/// Arrays start at multiples of this, so that a mapped one is aligned for any dtype and
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

/// One array of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// `image`, `label`, `source_end` or `source`.
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
    /// The array's length in bytes, or `None` where the shape's product does not fit (a
    /// damaged header).
    pub fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |n, &d| n.checked_mul(d))
    }
}

/// What is said of the images of a shard, the same in every shard of a set but for
/// `index`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The data set's name, such as `cifar10`.
    pub dataset: String,
    /// `train`, `test`, or whatever the split is called.
    pub split: String,
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// The whole transform pipeline, as text.
    pub pipeline: String,
    /// The part of it that these images have been through.
    pub baked: String,
    /// The part that is left to carry out each time a batch is read (`ToTensor`, what is
    /// random).
    pub deferred: String,
    /// This shard's place among the set's, from 0.
    pub index: u32,
    /// How many shards the set has.
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
    /// How many images.
    pub count: u64,
    /// What they are.
    pub meta: Meta,
    /// The arrays: `image` `[count, H, W, C]`, `label` `[count]` (int64), and where each
    /// image came from, as UTF-8 text in `source` (uint8), image `i`'s ending at
    /// `source_end[i]` (int64) where the next begins.
    pub fields: Vec<Field>,
}

impl Header {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The shape of one image as `[C, H, W]`, PyTorch's order.
    pub fn image_shape(&self) -> Result<[usize; 3]> {
        let field = self
            .field("image")
            .ok_or_else(|| Error::failed("the header has no field `image`"))?;
        match field.shape[..] {
            [_, h, w, c] => Ok([c as usize, h as usize, w as usize]),
            _ => Err(Error::failed(format_args!(
                "`image` is {:?}, not [count, H, W, C]",
                field.shape
            ))),
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
