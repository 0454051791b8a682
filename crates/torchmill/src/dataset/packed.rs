//! Image files that lie one after the other within a larger file: in a tar, or in a
//! temporary file that the images of other containers were copied to.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::packed_names::{PackedNames, readable};
use crate::{Context, Error, Result};

/// The image files within one file.
#[derive(Debug)]
pub struct Packed {
    /// The file, as the user's path leads to it.
    pub path: PathBuf,
    /// The prefix of the images' sources: the file's name.
    pub name: String,
    bytes: PackedBytes,
    names: Names,
    starts: Vec<u64>,
    lengths: Vec<u32>,
}

/// Where the bytes of images are.
#[derive(Debug, Clone)]
pub enum PackedBytes {
    /// In the file at [`Packed::path`], which is opened for each image: a data set may
    /// have more tars than a process may have open files.
    OnDisk,
    /// In a temporary file without a name.
    Temporary(Arc<File>),
}

/// What the images are called.
#[derive(Debug)]
enum Names {
    /// Members of an archive, by their paths in it.
    Members(PackedNames),
    /// Rows of a table, numbered from 0.
    Rows,
}

impl Packed {
    /// No members of the archive `path` yet.
    pub fn archive(path: &Path, name: String, bytes: PackedBytes) -> Self {
        Self::new(path, name, bytes, Names::Members(PackedNames::default()))
    }

    /// No rows of the table `path` yet.
    pub fn table(path: &Path, name: String, bytes: PackedBytes) -> Self {
        Self::new(path, name, bytes, Names::Rows)
    }

    fn new(path: &Path, name: String, bytes: PackedBytes, names: Names) -> Self {
        let path = path.to_path_buf();
        Self { path, name, bytes, names, starts: Vec::new(), lengths: Vec::new() }
    }

    /// Adds an image of `length` bytes at `start`. `member` is its path in the archive;
    /// rows have none.
    pub fn push(&mut self, start: u64, length: u64, member: &Path) -> Result<()> {
        let length = u32::try_from(length)
            .map_err(|_| Error::failed("is larger than 4 GiB: not an image"))?;
        if let Names::Members(names) = &mut self.names {
            names.push(member);
        }
        self.starts.push(start);
        self.lengths.push(length);
        Ok(())
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The path of image `i` in its archive; `None` for a row of a table.
    pub fn member(&self, i: usize) -> Option<&Path> {
        match &self.names {
            Names::Members(names) => Some(names.get(i)),
            Names::Rows => None,
        }
    }

    /// Reads the bytes of image `i`'s file.
    pub fn read(&self, i: usize) -> Result<Vec<u8>> {
        let length = self.lengths[i] as usize;
        if length == 0 {
            return Err(Error::failed("is empty").within(self.location(i)));
        }
        let mut bytes = vec![0; length];
        let read = match &self.bytes {
            PackedBytes::OnDisk => File::open(&self.path)
                .and_then(|file| file.read_exact_at(&mut bytes, self.starts[i])),
            PackedBytes::Temporary(file) => {
                file.read_exact_at(&mut bytes, self.starts[i])
            }
        };
        read.doing("read", self.location(i))?;
        Ok(bytes)
    }

    /// Where image `i` comes from, relative to the data set: `train.tar/0001.jpg`, or
    /// `train.parquet:17`.
    pub fn source(&self, i: usize) -> String {
        match &self.names {
            Names::Members(names) => format!("{}/{}", self.name, readable(names.get(i))),
            Names::Rows => format!("{}:{i}", self.name),
        }
    }

    /// Where image `i` is, for a message.
    pub fn location(&self, i: usize) -> String {
        let path = readable(&self.path);
        match &self.names {
            Names::Members(names) => format!("{path}/{}", readable(names.get(i))),
            Names::Rows => format!("{path}, row {i}"),
        }
    }
}

/// Copies the rest of a stream to an unnamed temporary file, positioned at its start.
pub fn copy_to_temporary(stream: &mut impl Read, location: &str) -> Result<File> {
    let folder = std::env::temp_dir();
    let mut file = tempfile::tempfile().doing("make a temporary file in", &folder)?;
    let mut block = vec![0; 1 << 20];
    loop {
        let n = stream.read(&mut block).doing("read", location)?;
        if n == 0 {
            break;
        }
        crate::interrupt::check()?;
        std::io::Write::write_all(&mut file, &block[..n])
            .doing("write a temporary file in", &folder)?;
    }
    file.seek(SeekFrom::Start(0)).doing("read a temporary file in", &folder)?;
    Ok(file)
}
