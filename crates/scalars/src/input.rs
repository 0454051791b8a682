//! CSV in: rows from bytes as they come, points from rows.

pub mod download;
pub mod rows;
pub mod select;
pub mod source;
pub mod table;
mod utf16;
