//! What raw data sets look like on disk.

pub mod manifest;

pub use manifest::{Kind, Manifest};
