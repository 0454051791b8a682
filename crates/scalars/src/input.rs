//! Reads CSV: rows from bytes, and points from rows.

pub mod download;
pub mod rows;
pub mod select;
pub mod source;
pub mod table;
mod utf16;
