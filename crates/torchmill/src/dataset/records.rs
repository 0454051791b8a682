//! A binary file of equally long records: CIFAR's batches and IDX images. Records are
//! read one by one from the file. It is not mapped: a mapped file counts as memory in
//! use, however large it is.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::pixels::to_channels_last;
use crate::transform::Image;
use crate::{Context, Error, Result, git_lfs};

/// The records of one file.
pub struct Records {
    /// The file, as the user's path leads to it.
    pub path: PathBuf,
    /// The file, relative to its data set's folder.
    pub name: String,
    /// Where the first record begins.
    pub start: usize,
    /// The number of bytes (labels) before a record's pixels.
    pub before: usize,
    /// The shape of an image, `[C, H, W]`, in the order in which the pixels are stored.
    pub shape: [usize; 3],
    /// The number of records.
    pub count: usize,
    /// The file's bytes.
    pub bytes: Bytes,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("path", &self.path)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Records {
    /// Where record `i` begins.
    pub fn offset(&self, i: usize) -> u64 {
        self.start as u64 + i as u64 * self.record_length() as u64
    }

    /// The bytes of a record, labels included.
    pub fn record_length(&self) -> usize {
        self.before + self.pixels()
    }

    /// Reads `count` records from number `first` on, as they are stored in the file.
    pub fn read_several(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count * self.record_length()];
        self.bytes
            .file
            .read_exact_at(&mut bytes, self.offset(first))
            .doing("read", &self.path)?;
        Ok(bytes)
    }

    /// Reads record `i`'s pixels, channels first, into `pixels`, which must have exactly
    /// their length.
    pub fn read_planar(&self, i: usize, pixels: &mut [u8]) -> Result<()> {
        self.bytes
            .file
            .read_exact_at(pixels, self.offset(i) + self.before as u64)
            .doing("read", &self.path)
    }

    /// Record `i` as an image, channels last.
    pub fn image(&self, i: usize) -> Result<Image> {
        let [channels, height, width] = self.shape;
        let mut pixels = vec![0; self.pixels()];
        self.read_channels_last(i, &mut pixels)?;
        Ok(Image { width, height, channels, pixels })
    }

    /// Reads record `i`'s pixels, channels last, into `pixels`, which must have exactly
    /// their length.
    pub fn read_channels_last(&self, i: usize, pixels: &mut [u8]) -> Result<()> {
        let channels = self.shape[0];
        if channels == 1 {
            return self.read_planar(i, pixels);
        }
        let mut planes = vec![0; self.pixels()];
        self.read_planar(i, &mut planes)?;
        to_channels_last(&planes, channels, pixels);
        Ok(())
    }

    /// The number of bytes of an image.
    fn pixels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A file's bytes, unpacked if it is gzipped.
pub struct Bytes {
    /// The file to read: the original, or an unnamed temporary one with the unpacked
    /// bytes.
    file: File,
    /// The number of bytes to read.
    pub count: u64,
    /// Whether they are in a temporary file.
    pub is_temporary: bool,
}

impl Bytes {
    /// Opens a file, which messages call `shown`; it is unpacked if it is gzipped, judged
    /// by its first bytes, not by its name.
    pub fn open(path: &Path, shown: &Path) -> Result<Self> {
        let file = File::open(path).doing("open", shown)?;
        let about = file.metadata().doing("read", shown)?;
        if !about.is_file() {
            return Err(Error::failed(format_args!("{} is not a file", shown.display())));
        }
        let mut bytes = Self { file, count: about.len(), is_temporary: false };
        let head = bytes.head(git_lfs::START.len() as u64).doing("read", shown)?;
        git_lfs::check(&head).map_err(|e| e.within(shown.display()))?;
        bytes.unpack(shown)?;
        Ok(bytes)
    }

    /// Opens a temporary file, which messages call `shown`; it is unpacked if it is
    /// gzipped.
    pub fn of_temporary(file: File, shown: &Path) -> Result<Self> {
        let count = file.metadata().doing("read", shown)?.len();
        let mut bytes = Self { file, count, is_temporary: true };
        bytes.unpack(shown)?;
        Ok(bytes)
    }

    /// Unpacks gzipped bytes to a temporary file; other bytes stay where they are.
    fn unpack(&mut self, shown: &Path) -> Result<()> {
        let head = self.head(2).doing("read", shown)?;
        if head != [0x1f, 0x8b] {
            return Ok(());
        }
        let mut unpacked = tempfile::tempfile()
            .doing("make a temporary file in", std::env::temp_dir())?;
        let mut packed =
            flate2::bufread::MultiGzDecoder::new(std::io::BufReader::new(&mut self.file));
        self.count = copy(&mut packed, &mut unpacked, shown)?;
        unpacked.seek(SeekFrom::Start(0)).doing("read", shown)?;
        self.file = unpacked;
        self.is_temporary = true;
        Ok(())
    }

    /// The file that has the bytes.
    pub fn into_file(self) -> File {
        self.file
    }

    /// The first `n` bytes, or all if there are fewer.
    pub fn head(&self, n: u64) -> std::io::Result<Vec<u8>> {
        let mut head = vec![0; n.min(self.count) as usize];
        self.file.read_exact_at(&mut head, 0).map(|()| head)
    }

    /// Passes the bytes from `start` on to `take` in blocks of `size` bytes; the last one
    /// may be shorter.
    pub fn blocks(
        &self,
        start: u64,
        size: usize,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> std::io::Result<Result<()>> {
        let mut block = vec![0; size];
        let mut at = start;
        while at < self.count {
            let n = (self.count - at).min(size as u64) as usize;
            self.file.read_exact_at(&mut block[..n], at)?;
            if let Err(error) = crate::interrupt::check().and_then(|()| take(&block[..n]))
            {
                return Ok(Err(error));
            }
            at += n as u64;
        }
        Ok(Ok(()))
    }
}

/// Copies bytes, and tells a damaged gzip file from a full disk.
fn copy(from: &mut impl Read, to: &mut File, path: &Path) -> Result<u64> {
    let mut copied = 0;
    let mut block = vec![0; 1 << 20];
    loop {
        let n = from.read(&mut block).map_err(|e| {
            Error::failed(format_args!(
                "{}: the gzip data is damaged ({e}): fetch it again, with fetch-data \
                 --force",
                path.display()
            ))
        })?;
        if n == 0 {
            return Ok(copied);
        }
        copied += n as u64;
        crate::interrupt::check()?;
        to.write_all(&block[..n])
            .doing("write a temporary file in", std::env::temp_dir())?;
    }
}
