//! zip archives.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use torchmill::progress::Progress;
use torchmill::{Error, Result};
use zip::ZipArchive;
use zip::result::ZipError;

use super::budget::{Budget, Budgeted};
use super::damage;
use super::sink::{Sink, refused};

/// The file type bits of a Unix mode, and their values for a plain file and a folder.
const KIND: u32 = 0o170_000;
const PLAIN: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// Unpacks a zip archive.
pub fn unpack(
    mut file: File,
    sink: &mut Sink,
    limit: u64,
    mut bar: Progress,
) -> Result<()> {
    let budget = Budget::new(limit);
    budget.expect_contents();
    let listed = entries_listed(&mut file).map_err(|e| damage(&e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| wrong(&e))?;
    // The reader keeps only the last of several entries with the same name.
    if listed.is_some_and(|n| n > archive.len()) {
        return Err(Error::failed(
            "has two entries with the same name; nothing was unpacked",
        ));
    }
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(|e| wrong(&e))?;
        let name = entry.name_raw().to_vec();
        let kind = entry.unix_mode().map_or(0, |mode| mode & KIND);
        if entry.is_dir() {
            sink.folder(&name)?;
            continue;
        }
        if ![0, PLAIN, FOLDER].contains(&kind) {
            return Err(refused(
                &name,
                "is a link or a device, and only plain files and folders are unpacked",
            ));
        }
        let (size, packed) = (entry.size(), entry.compressed_size());
        let written = sink.file(&name, &mut Budgeted::new(&mut entry, budget.clone()))?;
        if written != size {
            return Err(damage(&io::ErrorKind::UnexpectedEof.into()));
        }
        bar.add(packed);
    }
    bar.finish();
    Ok(())
}

/// The number of entries according to the end record of the archive (PKWARE's APPNOTE,
/// 4.3.16); `None` if it does not fit there and is given elsewhere.
fn entries_listed(file: &mut File) -> io::Result<Option<usize>> {
    const RECORD: usize = 22;
    let length = file.seek(SeekFrom::End(0))?;
    let tail = length.min((RECORD + usize::from(u16::MAX)) as u64);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let starts =
        (0..=bytes.len().saturating_sub(RECORD)).rev().filter(|_| bytes.len() >= RECORD);
    // A comment may follow, whose length is the record's last number.
    let record = starts.into_iter().find(|&at| {
        bytes[at..].starts_with(b"PK\x05\x06")
            && at + RECORD + number(at + 20) == bytes.len()
    });
    Ok(record.map(|at| number(at + 10)).filter(|&n| n != usize::from(u16::MAX)))
}

fn wrong(error: &ZipError) -> Error {
    match error {
        ZipError::Io(e) => damage(e),
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            damage(&io::ErrorKind::Unsupported.into())
        }
        other => Error::failed(format_args!(
            "the zip archive cannot be read ({other}); nothing was unpacked"
        )),
    }
}
