//! What the files of a list are.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use torchmill::dataset::RawFormat;
use torchmill::{Context, Error, Result, git_lfs};

use crate::unpack::{self, ArchiveFormat};

/// What the files of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Parquet files of images and labels.
    Parquet,
    /// WebDataset's tars, gzipped or not.
    WebDataset,
    /// Archives of images in a folder for each class.
    Archive,
}

impl FileKind {
    /// How the images of a data set of such files are stored, if it is not unpacked.
    pub fn format(self) -> RawFormat {
        match self {
            Self::Parquet => RawFormat::Parquet,
            Self::WebDataset => RawFormat::WebDataset,
            Self::Archive => RawFormat::ImageFolder,
        }
    }

    /// What one or several such files are called.
    pub fn called(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Parquet, 1) => "Parquet file",
            (Self::Parquet, _) => "Parquet files",
            (Self::WebDataset, 1) => "tar",
            (Self::WebDataset, _) => "tars",
            (Self::Archive, 1) => "archive",
            (Self::Archive, _) => "archives",
        }
    }

    /// Refuses a file of another kind, such as a web page, by its first and last bytes.
    pub fn check(self, path: &Path) -> Result<()> {
        match self {
            Self::Parquet => check_parquet(path),
            Self::WebDataset => match unpack::format(path)? {
                ArchiveFormat::Tar | ArchiveFormat::Gzip => Ok(()),
                ArchiveFormat::Zip => Err(Error::failed("is a zip archive, not a tar")),
            },
            Self::Archive => unpack::format(path).map(drop),
        }
    }
}

/// What a Parquet file begins and ends with.
const PARQUET_MAGIC: &[u8; 4] = b"PAR1";

fn check_parquet(path: &Path) -> Result<()> {
    git_lfs::check_file(path)?;
    let mut file = File::open(path).doing("read", path)?;
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).doing("read", path)?;
    let mut end = Vec::new();
    // Fails in a file of less than four bytes.
    if file.seek(SeekFrom::End(-4)).is_ok() {
        file.read_to_end(&mut end).doing("read", path)?;
    }
    if start == PARQUET_MAGIC && end == PARQUET_MAGIC {
        return Ok(());
    }
    Err(Error::failed("is not a Parquet file (it does not begin and end with PAR1)"))
}
