//! Where samples are stored: records of a binary file, image files, or image files within
//! a larger one.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::decode::{self, Decoded};
use super::kept_files::KeptFiles;
use super::packed::Packed;
use super::packed_names::{PackedNames, readable};
use super::records::Records;
use crate::pixels::Layout;
use crate::transform::Exif;
use crate::{Context, Error, Result, git_lfs};

/// Spare capacity after a file's size, so that its end is found without growing the
/// buffer.
const ROOM_FOR_END: usize = 32;

/// A source of samples, addressed by number.
#[derive(Debug)]
pub enum Store {
    /// Records of one binary file.
    Records(Records),
    /// Image files.
    Files(Files),
    /// Image files within one file.
    Packed(Packed),
}

/// Image files by name.
#[derive(Debug)]
pub struct Files {
    /// The folder that the names are relative to, as the user's path leads to it.
    pub root: PathBuf,
    /// The prefix of sources, so that equal names in two inputs differ: empty, or
    /// `pets/`.
    pub prefix: String,
    /// The files, relative to `root`.
    pub names: PackedNames,
    /// The bytes of files that were read for their hashes and will be read again.
    kept: KeptFiles,
}

impl Store {
    pub fn decode(&self, i: usize, exif: Exif) -> Result<Decoded> {
        match self {
            Self::Records(records) => {
                Ok(Decoded { image: records.image(i)?, warning: None })
            }
            Self::Files(files) => decode::decode(&files.read(i)?, exif)
                .map_err(|e| e.within(files.path(i).display())),
            Self::Packed(packed) => decode::decode(&packed.read(i)?, exif)
                .map_err(|e| e.within(packed.location(i))),
        }
    }

    /// The paths of the files.
    pub fn files(&self) -> Box<dyn Iterator<Item = PathBuf> + '_> {
        match self {
            Self::Records(records) => Box::new(std::iter::once(records.path.clone())),
            Self::Files(files) => Box::new((0..files.names.len()).map(|i| files.path(i))),
            Self::Packed(packed) => Box::new(std::iter::once(packed.path.clone())),
        }
    }

    pub fn record_shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::Records(records) => Some(records.shape),
            Self::Files(_) | Self::Packed(_) => None,
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
            (Self::Files(_) | Self::Packed(_), _) => {
                Err(Error::failed("an image file must be decoded, not read as pixels"))
            }
        }
    }

    pub fn encoded(&self, i: usize) -> Option<Result<Vec<u8>>> {
        match self {
            Self::Records(_) => None,
            Self::Files(files) => Some(files.read(i)),
            Self::Packed(packed) => Some(packed.read(i)),
        }
    }

    pub fn source(&self, i: usize) -> String {
        match self {
            Self::Records(records) => format!("{}:{i}", records.name),
            Self::Files(files) => {
                format!("{}{}", files.prefix, readable(files.names.get(i)))
            }
            Self::Packed(packed) => packed.source(i),
        }
    }

    pub fn relative_path(&self, i: usize) -> Option<PathBuf> {
        match self {
            Self::Records(_) | Self::Packed(_) => None,
            Self::Files(files) => Some(Path::new(&files.prefix).join(files.names.get(i))),
        }
    }

    pub fn location(&self, i: usize) -> String {
        match self {
            Self::Records(records) => format!("{}, record {i}", records.path.display()),
            Self::Files(files) => readable(&files.path(i)),
            Self::Packed(packed) => packed.location(i),
        }
    }
}

impl Files {
    pub fn new(root: PathBuf, prefix: String, names: PackedNames) -> Self {
        Self { root, prefix, names, kept: KeptFiles::default() }
    }

    /// Keeps the bytes of file `i` for the next time it is read, if there is room.
    pub fn keep(&self, i: u32, bytes: Vec<u8>) {
        self.kept.keep(i, bytes);
    }

    pub fn path(&self, i: usize) -> PathBuf {
        self.root.join(self.names.get(i))
    }

    /// The bytes of file `i`: those kept, or else those on disk.
    pub fn read(&self, i: usize) -> Result<Vec<u8>> {
        if let Some(bytes) = self.kept.take(i as u32) {
            return Ok(bytes);
        }
        let path = self.path(i);
        let bytes = read_file(&path)?;
        git_lfs::check(&bytes).map_err(|e| e.within(readable(&path)))?;
        Ok(bytes)
    }
}

/// Reads a regular file with as few system calls as possible: decoding a small image
/// takes less time than opening it twice.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    // Without this, opening a pipe would wait for its writer.
    let no_wait = OFlags::NONBLOCK.bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(no_wait);
    let file = options.open(path).doing("read", path)?;
    let metadata = file.metadata().doing("read", path)?;
    // A device may have no end.
    if !metadata.is_file() {
        return Err(Error::failed(format_args!(
            "{} is not a regular file",
            path.display()
        )));
    }
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length.saturating_add(ROOM_FOR_END))
        .map_err(io::Error::from)
        .doing("read", path)?;
    // The file's own read_to_end would ask for its length again.
    file.take(u64::MAX).read_to_end(&mut bytes).doing("read", path)?;
    Ok(bytes)
}
