//! Where samples are stored: records of a binary file, or image files.

use std::fs;
use std::path::{Path, PathBuf};

use super::decode;
use super::packed_names::{PackedNames, readable};
use super::records::Records;
use crate::pixels::Layout;
use crate::transform::Image;
use crate::{Context, Error, Result, git_lfs};

/// A source of samples, addressed by number.
#[derive(Debug)]
pub enum Store {
    /// Records of one binary file.
    Records(Records),
    /// Image files.
    Files(Files),
}

/// Image files by name.
#[derive(Debug)]
pub struct Files {
    /// The folder that the names are relative to, as the user's path leads to it.
    pub root: PathBuf,
    /// What a source's text begins with, so that equal names in two inputs differ: empty,
    /// or `pets/`.
    pub prefix: String,
    /// The files, relative to `root`.
    pub names: PackedNames,
}

impl Store {
    pub fn image(&self, i: usize) -> Result<Image> {
        match self {
            Self::Records(records) => records.image(i),
            Self::Files(files) => decode::rgb(&files.read(i)?)
                .map_err(|e| e.within(files.path(i).display())),
        }
    }

    pub fn record_shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::Records(records) => Some(records.shape),
            Self::Files(_) => None,
        }
    }

    /// Reads a record's pixels in this layout.
    pub fn read_pixels(&self, i: usize, layout: Layout, out: &mut [u8]) -> Result<()> {
        match (self, layout) {
            (Self::Records(records), Layout::ChannelsFirst) => {
                records.read_planar(i, out)
            }
            (Self::Records(records), Layout::ChannelsLast) => {
                records.read_channels_last(i, out)
            }
            (Self::Files(_), _) => {
                Err(Error::failed("an image file must be decoded, not read as pixels"))
            }
        }
    }

    pub fn encoded(&self, i: usize) -> Option<Result<Vec<u8>>> {
        match self {
            Self::Records(_) => None,
            Self::Files(files) => Some(files.read(i)),
        }
    }

    pub fn source(&self, i: usize) -> String {
        match self {
            Self::Records(records) => format!("{}:{i}", records.name),
            Self::Files(files) => {
                format!("{}{}", files.prefix, readable(files.names.get(i)))
            }
        }
    }

    pub fn relative_path(&self, i: usize) -> Option<PathBuf> {
        match self {
            Self::Records(_) => None,
            Self::Files(files) => Some(Path::new(&files.prefix).join(files.names.get(i))),
        }
    }

    pub fn location(&self, i: usize) -> String {
        match self {
            Self::Records(records) => format!("{}, record {i}", records.path.display()),
            Self::Files(files) => readable(&files.path(i)),
        }
    }
}

impl Files {
    pub fn path(&self, i: usize) -> PathBuf {
        self.root.join(self.names.get(i))
    }

    fn read(&self, i: usize) -> Result<Vec<u8>> {
        let path = self.path(i);
        // Before it is opened: a pipe would wait for its writer, and a device may have no
        // end.
        if !fs::metadata(&path).doing("read", &path)?.is_file() {
            return Err(Error::failed(format_args!(
                "{} is not a regular file",
                path.display()
            )));
        }
        let bytes = fs::read(&path).doing("read", &path)?;
        git_lfs::check(&bytes).map_err(|e| e.within(readable(&path)))?;
        Ok(bytes)
    }
}
