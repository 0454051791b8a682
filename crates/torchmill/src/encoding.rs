//! bincode 2, the encoding of shard headers and training states, in one place.
//!
//! The crate is complete and no longer maintained: 2.0.1 is its last version
//! (RUSTSEC-2025-0141 records that and names no fault). Its format is specified and
//! small: docs/formats.md describes the bytes that it writes here, so that another
//! implementation can replace it without a change of format. Input is checked (by a
//! checksum) or bounded (by a limit) before it is decoded.

use bincode::config;
use bincode::serde::{decode_from_slice, encode_to_vec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Encodes with integers of variable length.
pub fn encode_compact(value: &impl Serialize) -> Result<Vec<u8>> {
    encode_to_vec(value, config::standard())
        .map_err(|e| Error::failed(format_args!("cannot be encoded: {e}")))
}

/// Decodes what [`encode_compact`] wrote, and returns how many bytes that was; bytes
/// after it are ignored. The bytes must have passed a checksum.
pub fn decode_compact<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize)> {
    decode_from_slice(bytes, config::standard()).map_err(|e| Error::failed(e.to_string()))
}

/// Encodes with little-endian integers of fixed width, so that the result can be
/// described byte by byte.
pub fn encode_fixed(value: &impl Serialize) -> Result<Vec<u8>> {
    encode_to_vec(value, config::standard().with_fixed_int_encoding())
        .map_err(|e| Error::failed(format_args!("cannot be encoded: {e}")))
}

/// Decodes what [`encode_fixed`] wrote, and returns how many bytes that was. `LIMIT`
/// bounds what a damaged length can make it allocate, in bytes.
pub fn decode_fixed<T: DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, usize)> {
    let config = config::standard().with_fixed_int_encoding().with_limit::<LIMIT>();
    decode_from_slice(bytes, config).map_err(|e| Error::failed(e.to_string()))
}
