//! Tensor shards: `prep` writes them, `train` and `evaluate` map them, and other programs
//! can read them.
//!
//! A shard is one file (or one stretch of a pipe), all integers little-endian:
//!
//! | offset | bytes | |
//! | --- | --- | --- |
//! | 0 | 8 | magic, `TMSHARD\0` |
//! | 8 | 4 | format version, [`VERSION`] or [`VERSION_OF_SIZES`] |
//! | 12 | 4 | length of the header, H |
//! | 16 | 4 | CRC-32C of the header |
//! | 20 | 4 | zero |
//! | 24 | H | the [`Header`], bincode 2 with fixed-width little-endian integers |
//! | | | each field's array, contiguous in row-major order, at the offset its [`Field`] gives: a multiple of 64 |
//!
//! A reader maps the file and uses the arrays in place. Images are channels last,
//! `[count, H, W, C]`, as they are decoded and as convolutions read them. They stay uint8
//! where the pipeline allows it: the division by 255 is then named in [`Meta::deferred`]
//! and carried out when a batch is read.
//!
//! Images of different sizes are stored one after the other with an index of their sizes
//! and ends, as pixels or as the image files that they came from; see [`Storage`].

mod arrays;
mod header;
mod image_pixels;
mod mapped;
mod read;
mod set;
mod write;

pub use header::{
    DType, Field, Header, MAX_HEADER, Meta, Storage, VERSION, VERSION_OF_SIZES,
};
pub use image_pixels::Pixels;
pub use read::Shard;
pub use set::ShardSet;
pub use write::{Contents, Images, StoredImage, file_name, write_file, write_to};

#[cfg(test)]
mod tests;
