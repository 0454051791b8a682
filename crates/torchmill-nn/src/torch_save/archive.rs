//! The layout of a `torch.save` file: the pickle and the storages are entries of a zip
//! archive or, before PyTorch 1.6, follow one another.

use std::collections::HashMap;
use std::io::{Cursor, Read, sink};
use std::ops::Range;

use torchmill::{Error, Result};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Pickle, Value};

/// The first bytes of a file in the older layout: a pickle of the magic number
/// 0x1950a86a20f9469cfc6c.
pub(super) const BEFORE_1_6: [u8; 14] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The first bytes of a zip archive.
pub(super) const ZIP: [u8; 4] = *b"PK\x03\x04";

/// The largest pickle of names and shapes, in bytes.
const MAX_PICKLE: u64 = 64 << 20;

/// A file's storages by key, as ranges of its bytes.
pub(super) type Storages = HashMap<String, Range<usize>>;

/// The zip archive that `torch.save` writes since PyTorch 1.6.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The prefix of all names in it.
    folder: String,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| {
            Error::failed(format_args!(
                "is cut short or damaged: it begins as a file of torch.save, a zip \
                 archive, but the archive's directory at its end cannot be read ({e})"
            ))
        })?;
        let mut folder = None;
        for name in zip.file_names().flatten() {
            let rest = name.strip_suffix("data.pkl");
            if let Some(rest) = rest.filter(|r| r.is_empty() || r.ends_with('/')) {
                folder = Some(rest.to_owned());
                break;
            }
        }
        let folder = folder.ok_or_else(|| {
            Error::failed(
                "is a zip archive without data.pkl, so torch.save did not write it",
            )
        })?;
        let code = format!("{folder}code/");
        if zip.file_names().flatten().any(|name| name.starts_with(&code)) {
            return Err(Error::failed(
                "is a TorchScript module, not a state dict; in Python, \
                 torch.save(torch.jit.load(FILE).state_dict(), NEW) makes one",
            ));
        }
        Ok(Self { zip, folder })
    }

    /// The bytes of the pickle.
    pub(super) fn pickle(&mut self) -> Result<Vec<u8>> {
        let name = format!("{}data.pkl", self.folder);
        let file = self.zip.by_name(&name).map_err(|e| damaged(&name, e))?;
        let mut bytes = Vec::new();
        file.take(MAX_PICKLE + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| damaged(&name, e))?;
        if bytes.len() as u64 > MAX_PICKLE {
            return Err(damaged(&name, "it is too long"));
        }
        Ok(bytes)
    }

    /// The range of a storage's bytes in the file. Verifies its checksum.
    pub(super) fn storage(&mut self, key: &str) -> Result<Range<usize>> {
        let name = format!("{}data/{key}", self.folder);
        let mut file = self.zip.by_name(&name).map_err(|e| damaged(&name, e))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(damaged(&name, "it is compressed, which torch.save never does"));
        }
        let start = file.data_start().ok_or_else(|| damaged(&name, "it has no place"))?;
        // The reader compares the checksum when it reaches the end.
        let length =
            std::io::copy(&mut file, &mut sink()).map_err(|e| damaged(&name, e))?;
        let start = start as usize;
        Ok(start..start + length as usize)
    }
}

fn damaged(name: &str, why: impl std::fmt::Display) -> Error {
    Error::failed(format_args!(
        "its entry `{name}` cannot be read ({why}): it is damaged"
    ))
}

/// Reads a file written before PyTorch 1.6: pickles of the magic number, the version, the
/// machine, the object and the storages' keys, then each storage, preceded by its length.
pub(super) fn read_legacy(bytes: &[u8]) -> Result<(Pickle<'_>, LegacyStorages)> {
    let mut at = 0;
    for _ in 0..3 {
        at += pickle::parse(&bytes[at..])?.length;
    }
    let object = pickle::parse(&bytes[at..])?;
    at += object.length;
    let keys = pickle::parse(&bytes[at..])?;
    at += keys.length;
    let items: &[Value] = keys.sequence(keys.root).unwrap_or_default();
    let keys = items.iter().filter_map(|key| keys.text(*key).map(str::to_owned));
    Ok((object, LegacyStorages { keys: keys.collect(), start: at }))
}

/// The storages of a file written before PyTorch 1.6. The file does not record the size
/// of their elements.
pub(super) struct LegacyStorages {
    keys: Vec<String>,
    start: usize,
}

impl LegacyStorages {
    /// Locates each storage. `element_size` returns a key's element size in bytes.
    pub(super) fn locate(
        &self,
        bytes: &[u8],
        element_size: impl Fn(&str) -> Option<usize>,
    ) -> Result<Storages> {
        let cut = || Error::failed("is cut short: its tensors are not all there");
        let mut storages = Storages::new();
        let mut at = self.start;
        for key in &self.keys {
            let length = bytes.get(at..at + 8).ok_or_else(cut)?;
            let length = length.try_into().map(u64::from_le_bytes).map_err(|_| cut())?;
            // Without the storage's element size, the later ones cannot be found.
            let Some(size) = element_size(key) else {
                return Err(Error::failed(format_args!(
                    "its storage `{key}` has an element type that is not supported"
                )));
            };
            let length = usize::try_from(length).ok().and_then(|n| n.checked_mul(size));
            let start = at + 8;
            let end = length.and_then(|n| start.checked_add(n)).ok_or_else(cut)?;
            if end > bytes.len() {
                return Err(cut());
            }
            storages.insert(key.clone(), start..end);
            at = end;
        }
        Ok(storages)
    }
}
