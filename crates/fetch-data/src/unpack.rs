//! Unpacking archives from untrusted sources: tar, gzipped or not, and zip.
//!
//! Only plain files and folders are unpacked, only below the target, and only up to a
//! given number of bytes. Anything else is an error that names the entry. The target is a
//! temporary folder, which the caller then removes.

mod budget;
pub mod entry;
mod gzip;
mod sink;
mod tarball;
mod zipped;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result, git_lfs};

use gzip::GzipMembers;
use sink::Sink;

/// The format of an archive, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// A tar archive.
    Tar,
    /// Something gzipped, probably a tar archive.
    Gzip,
    /// A zip archive.
    Zip,
}

/// The format of the archive `path`, by its first bytes. Fails if it is not an archive,
/// or of a format that is not supported.
pub fn format(path: &Path) -> Result<ArchiveFormat> {
    let mut start = Vec::with_capacity(512);
    let file = File::open(path).doing("read", path)?;
    file.take(512).read_to_end(&mut start).doing("read", path)?;
    git_lfs::check(&start).map_err(|e| e.within(path.display()))?;
    let other = match start.as_slice() {
        [0x1f, 0x8b, ..] => return Ok(ArchiveFormat::Gzip),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Ok(ArchiveFormat::Zip),
        header if header.get(257..262) == Some(b"ustar") || is_old_tar(header) => {
            return Ok(ArchiveFormat::Tar);
        }
        [] => "is empty",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            "is compressed with xz, which is not supported: unpack it yourself and give \
             the folder"
        }
        [b'B', b'Z', b'h', ..] => {
            "is compressed with bzip2, which is not supported: unpack it yourself and \
             give the folder"
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "is compressed with zstd, which is not supported: unpack it yourself and \
             give the folder"
        }
        [b'<', ..] => "is a web page, not an archive: was that the download link?",
        _ => "is not an archive (.tar.gz, .tgz, .tar or .zip)",
    };
    Err(Error::failed(format_args!("{} {other}", path.display())))
}

/// Whether a tar from before 1988 begins here. It has no magic, so the header's checksum
/// must be right.
fn is_old_tar(start: &[u8]) -> bool {
    let Ok(bytes) = <&[u8; 512]>::try_from(start) else { return false };
    let sum = |i: usize| {
        if (148..156).contains(&i) { u32::from(b' ') } else { u32::from(bytes[i]) }
    };
    bytes[0] != 0
        && tar::Header::from_byte_slice(bytes)
            .cksum()
            .is_ok_and(|c| c == (0..512).map(sum).sum::<u32>())
}

/// How many bytes an archive of images may unpack to. Images hardly compress, so 20 times
/// its size is ample where nothing is published.
pub fn ample_limit(archive: &Path) -> u64 {
    let size = std::fs::metadata(archive).map_or(0, |about| about.len());
    size.saturating_mul(20).saturating_add(1 << 30)
}

/// Unpacks `archive` into the folder `target`, at most `limit` bytes.
///
/// After an error the target holds the files unpacked so far; the caller removes it.
pub fn unpack(archive: &Path, target: &Path, limit: u64) -> Result<()> {
    let format = format(archive)?;
    let mut file = File::open(archive).doing("read", archive)?;
    let size = file.seek(SeekFrom::End(0)).doing("read", archive)?;
    file.seek(SeekFrom::Start(0)).doing("read", archive)?;
    let name = archive.file_name().map_or(archive, Path::new);
    let bar =
        Progress::new(format!("unpacking {}", name.display()), Some(size), Unit::Bytes);
    let mut sink = Sink::new(target);
    match format {
        ArchiveFormat::Tar => {
            tarball::unpack_plain(Counted { inner: file, bar }, &mut sink, limit)
        }
        ArchiveFormat::Gzip => {
            let packed = BufReader::new(Counted { inner: file, bar });
            tarball::unpack(GzipMembers::new(packed), &mut sink, limit)
        }
        ArchiveFormat::Zip => zipped::unpack(file, &mut sink, limit, bar),
    }
    .map_err(|e| e.within(archive.display()))
}

/// A reader that advances a progress bar.
struct Counted<R> {
    inner: R,
    bar: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bar.add(n as u64);
        Ok(n)
    }
}

/// Describes an error from reading an archive, in terms of the archive.
fn damage(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::QuotaExceeded => Error::failed(error),
        io::ErrorKind::Unsupported => Error::failed(
            "the archive is encrypted or compressed in a way that is not supported (such \
             as bzip2 or LZMA in a zip); nothing was unpacked: unpack it yourself and \
             give the folder",
        ),
        io::ErrorKind::UnexpectedEof => {
            Error::failed("the archive is cut short; nothing was unpacked: get it again")
        }
        _ => Error::failed(format_args!(
            "the archive is damaged ({error}); nothing was unpacked: get it again"
        )),
    }
}

#[cfg(test)]
mod tests;
