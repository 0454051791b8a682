//! fetch-data: published image data sets, downloaded, checked, unpacked and described.
//!
//! [`catalogue`] is the table of data sets. [`fetch`] puts a data set into its folder,
//! from its publisher ([`published`]) or from the user's files ([`import`]). [`weights`]
//! fetches published weights. [`download`] downloads files, [`unpack`] unpacks archives,
//! [`convert`] converts formats that prep does not read, [`layout`] finds out what a
//! folder holds and whether it is complete, and [`install`] copies it and writes its
//! dataset.toml.

pub mod args;
pub mod available;
pub mod catalogue;
pub mod checksum;
pub mod config;
pub mod convert;
pub mod download;
pub mod fetch;
mod folders;
pub mod import;
pub mod install;
pub mod layout;
pub mod list;
mod lock;
pub mod published;
pub mod sample;
pub mod unpack;
pub mod webdataset;
pub mod weights;
