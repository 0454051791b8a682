//! fetch-data: published image data sets, downloaded, checked, unpacked and described.
//!
//! [`catalogue`] is the table of data sets. [`fetch`] gets one: [`download`] brings the
//! published files, [`unpack`] takes archives apart, [`layout`] finds out what came out
//! and whether it is whole, [`install`] puts it in its folder with a dataset.toml;
//! [`convert`] is for what prep does not read. [`import`] is the same for what a user has
//! already.

pub mod args;
pub mod available;
pub mod catalogue;
pub mod checksum;
pub mod convert;
pub mod download;
pub mod fetch;
pub mod import;
pub mod install;
pub mod layout;
pub mod list;
mod lock;
pub mod sample;
pub mod unpack;
