//! tar archives.

use std::io::Read;

use tar::EntryType;
use torchmill::Result;

use super::budget::{Budget, Budgeted};
use super::damage;
use super::sink::{Sink, refused};

/// Unpacks the tar archive that `reader` gives, to its last byte: gzip's own checksum comes at the end.
pub fn unpack(reader: impl Read, sink: &mut Sink, limit: u64) -> Result<()> {
    let budget = Budget::new(limit);
    let mut archive = tar::Archive::new(Budgeted::new(reader, budget.clone()));
    let entries = archive.entries().map_err(|e| damage(&e))?;
    let mut count = 0u64;
    for entry in entries {
        let mut entry = entry.map_err(|e| damage(&e))?;
        count += 1;
        let name = entry.path_bytes().into_owned();
        let size = entry.size();
        budget.expect_contents();
        match entry.header().entry_type() {
            EntryType::Directory => sink.folder(&name)?,
            // Old archives mark folders only by a slash.
            EntryType::Regular if name.ends_with(b"/") && size == 0 => sink.folder(&name)?,
            EntryType::Regular | EntryType::Continuous => {
                if sink.file(&name, &mut entry)? != size {
                    return Err(damage(&std::io::ErrorKind::UnexpectedEof.into()));
                }
            }
            // Notes about the archive as a whole, which git and others put first.
            EntryType::XGlobalHeader => {}
            other => return Err(refused(&name, &kind_refused(other))),
        }
        budget.expect_header();
    }
    if count == 0 {
        return Err(torchmill::Error::failed("holds no tar archive"));
    }
    // What follows the archive is padding. Reading it lets the decompressor check what it has decompressed.
    budget.expect_contents();
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(|e| damage(&e))?;
    Ok(())
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
