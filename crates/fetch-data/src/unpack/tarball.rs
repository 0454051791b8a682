//! tar archives.

use std::io::Read;

use tar::EntryType;
use torchmill::Result;

use super::budget::{Budget, Budgeted};
use super::damage;
use super::sink::{Sink, refused};

/// Unpacks a tar archive without compression. The empty block at the end shows that it is
/// complete.
pub fn unpack_plain(reader: impl Read, sink: &mut Sink, limit: u64) -> Result<()> {
    let mut reader = EndSeen { inner: reader, seen: false };
    unpack_to_end(&mut reader, sink, limit, |reader| {
        if reader.seen {
            Err(damage(&std::io::ErrorKind::UnexpectedEof.into()))
        } else {
            Ok(())
        }
    })
}

/// Unpacks the tar archive in `reader`, and reads to the last byte because gzip's
/// checksum is at the end.
pub fn unpack(reader: impl Read, sink: &mut Sink, limit: u64) -> Result<()> {
    unpack_to_end(reader, sink, limit, |_| Ok(()))
}

/// A reader that remembers whether its end has been seen.
struct EndSeen<R> {
    inner: R,
    seen: bool,
}

impl<R: Read> Read for EndSeen<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.seen |= n == 0 && !buffer.is_empty();
        Ok(n)
    }
}

/// `check` inspects the reader after the last entry.
fn unpack_to_end<R: Read>(
    reader: R,
    sink: &mut Sink,
    limit: u64,
    check: impl Fn(&R) -> Result<()>,
) -> Result<()> {
    let budget = Budget::new(limit);
    let mut archive = tar::Archive::new(Budgeted::new(reader, budget.clone()));
    let mut is_empty = true;
    for entry in archive.entries().map_err(|e| damage(&e))? {
        is_empty = false;
        budget.expect_contents();
        unpack_entry(entry.map_err(|e| damage(&e))?, sink)?;
        budget.expect_header();
    }
    if is_empty {
        return Err(torchmill::Error::failed("does not hold a tar archive"));
    }
    // Padding follows the archive. Reading it lets the decompressor verify its checksum.
    budget.expect_contents();
    let mut rest = archive.into_inner();
    check(rest.inner())?;
    std::io::copy(&mut rest, &mut std::io::sink()).map(drop).map_err(|e| damage(&e))
}

fn unpack_entry<R: Read>(mut entry: tar::Entry<R>, sink: &mut Sink) -> Result<()> {
    let name = entry.path_bytes().into_owned();
    let size = entry.size();
    match entry.header().entry_type() {
        EntryType::Directory => sink.folder(&name),
        // Old archives mark folders only with a slash.
        EntryType::Regular if name.ends_with(b"/") && size == 0 => sink.folder(&name),
        EntryType::Regular | EntryType::Continuous => {
            if sink.file(&name, &mut entry)? != size {
                return Err(damage(&std::io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(())
        }
        // Headers for the whole archive, which git and others put first.
        EntryType::XGlobalHeader => Ok(()),
        other => Err(refused(&name, &kind_refused(other))),
    }
}

fn kind_refused(kind: EntryType) -> String {
    let what = match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "of an unknown kind",
    };
    format!("is {what}, and only plain files and folders are unpacked")
}
