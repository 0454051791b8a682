//! A binary file of equally long records, mapped: CIFAR's batches and IDX images.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::transform::Image;
use crate::{Context, Error, Result};

/// The records of one file.
pub struct Records {
    /// The file, as the user's path leads to it.
    pub path: PathBuf,
    /// The file, relative to its data set's folder.
    pub name: String,
    /// The file's checksum as the manifest gives it.
    pub checksum: Option<String>,
    /// The file's length on the disk.
    pub length: u64,
    /// When the file was last changed.
    pub modified: SystemTime,
    /// Where the first record begins.
    pub start: usize,
    /// The bytes of a record before its pixels (labels).
    pub before: usize,
    /// The shape of an image, `[C, H, W]`: the order in which the pixels lie.
    pub shape: [usize; 3],
    /// How many records.
    pub count: usize,
    /// The file's bytes, unpacked where it is gzipped.
    pub bytes: Mmap,
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
    /// Record `i` whole: `before` bytes, then the pixels.
    pub fn record(&self, i: usize) -> &[u8] {
        let stride = self.before + self.pixels();
        let at = self.start + i * stride;
        self.bytes.get(at..at + stride).unwrap_or_default()
    }

    /// Record `i`'s pixels, channels first.
    pub fn planar(&self, i: usize) -> &[u8] {
        self.record(i).get(self.before..).unwrap_or_default()
    }

    /// Record `i` as an image, channels last.
    pub fn image(&self, i: usize) -> Image {
        let [channels, height, width] = self.shape;
        let planar = self.planar(i);
        let mut pixels = vec![0; planar.len()];
        for (c, plane) in planar.chunks_exact((height * width).max(1)).enumerate() {
            for (to, &from) in pixels[c..].iter_mut().step_by(channels).zip(plane) {
                *to = from;
            }
        }
        Image { width, height, channels, pixels }
    }

    /// Bytes of an image.
    fn pixels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Maps a file, unpacked into an unnamed temporary one first where it is gzipped (by its first bytes, whatever
/// its name). The length and time are those of the file itself.
pub fn map(path: &Path) -> Result<(Mmap, u64, SystemTime)> {
    let file = File::open(path).doing("open", path)?;
    let about = file.metadata().doing("read", path)?;
    if !about.is_file() {
        return Err(Error::failed(format_args!("{} is not a file", path.display())));
    }
    let modified = about.modified().doing("read", path)?;
    // SAFETY: the map is valid while nobody shortens the file; raw data sets are not changed while prep runs.
    let mut bytes = unsafe { Mmap::map(&file) }.doing("map", path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = tempfile::tempfile().doing("make a temporary file in", std::env::temp_dir())?;
        let mut packed = flate2::read::MultiGzDecoder::new(&bytes[..]);
        copy(&mut packed, &mut unpacked, path)?;
        // SAFETY: the file has no name, nobody else can open it.
        bytes = unsafe { Mmap::map(&unpacked) }.doing("map", path)?;
    }
    Ok((bytes, about.len(), modified))
}

/// Copies, telling a damaged gzip file from a full disk.
fn copy(from: &mut impl std::io::Read, to: &mut File, path: &Path) -> Result<()> {
    use std::io::Write;
    let mut block = vec![0; 1 << 20];
    loop {
        let n = from
            .read(&mut block)
            .map_err(|e| Error::failed(format_args!("{}: the gzip data is damaged: {e}", path.display())))?;
        if n == 0 {
            return Ok(());
        }
        crate::interrupt::check()?;
        to.write_all(&block[..n]).doing("write a temporary file in", std::env::temp_dir())?;
    }
}

/// A path in a manifest must stay inside the data set's folder.
pub fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    use std::path::Component;
    let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain || name.is_empty() {
        return Err(Error::failed(format_args!(
            "{}: `{name}` in dataset.toml leads outside its folder",
            folder.display()
        )));
    }
    Ok(folder.join(name))
}
