//! fetch-data: published image data sets, downloaded, checked, unpacked and described.
//!
//! [`catalogue`] is the table of data sets. [`fetch`] puts a data set into its folder,
//! from its publisher ([`published`]), from the user's files ([`import`]) or from a list
//! of files ([`listing`]), which may be that of the Hugging Face Hub ([`hub`]). [`weights`]
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
pub mod hub;
pub mod import;
pub mod install;
pub mod layout;
pub mod list;
pub mod listing;
mod lock;
mod obtain;
pub mod published;
pub mod sample;
pub mod unpack;
pub mod user_source;
pub mod webdataset;
pub mod weights;
