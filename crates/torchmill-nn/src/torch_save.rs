//! Reads and writes the state dicts of `torch.save`.
//!
//! Since PyTorch 1.6, the file is a zip archive with a pickle of names, shapes and
//! strides (`data.pkl`) and each storage's raw bytes (`data/0`, ...). Older files have
//! the same parts one after the other. Only what a state dict needs is understood, and
//! nothing is executed.

mod archive;
mod find;
mod pickle;
mod pickle_writer;
mod write;

pub(crate) use write::encode;

use std::collections::HashMap;
use std::ops::Range;

use torchmill::{Error, Result};

use crate::state_dict::{DType, Entry, View};
use archive::{Archive, BEFORE_1_6, ZIP};
use pickle::{Node, Pickle};

/// Whether a file begins like one that `torch.save` has written.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&ZIP) || bytes.starts_with(&BEFORE_1_6)
}

/// The tensors of the state dict in a `torch.save` file, in the order in which they were
/// saved.
///
/// The state dict may be an entry of another dict, as training scripts save it.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Entry>> {
    if bytes.starts_with(&BEFORE_1_6) {
        return read_legacy(bytes);
    }
    let mut archive = Archive::open(bytes)?;
    let pickled = archive.pickle()?;
    let pickle = pickle::parse(&pickled)?;
    let mut storages: HashMap<&str, Range<usize>> = HashMap::new();
    let mut entries = Vec::new();
    for (name, view) in find::state_dict(&pickle)? {
        let key = view.storage.key;
        let storage = match storages.get(key) {
            Some(range) => range.clone(),
            None => archive.storage(key)?,
        };
        storages.insert(key, storage.clone());
        entries.push(entry(name, view, storage, bytes)?);
    }
    Ok(entries)
}

fn read_legacy(bytes: &[u8]) -> Result<Vec<Entry>> {
    let (pickle, storages) = archive::read_legacy(bytes)?;
    let types = storage_types(&pickle);
    let storages = storages.locate(bytes, |key| types.get(key).map(|t| t.size()))?;
    let mut entries = Vec::new();
    for (name, view) in find::state_dict(&pickle)? {
        let storage = storages.get(view.storage.key).ok_or_else(|| {
            Error::failed(format_args!("tensor `{name}` has no storage in the file"))
        })?;
        entries.push(entry(name, view, storage.clone(), bytes)?);
    }
    Ok(entries)
}

fn storage_types<'a>(pickle: &Pickle<'a>) -> HashMap<&'a str, DType> {
    let mut types = HashMap::new();
    for node in pickle.nodes() {
        if let Node::Storage(storage) = node {
            types.insert(storage.key, storage.dtype);
        }
    }
    types
}

fn entry(
    name: &str,
    view: &pickle::View,
    storage: Range<usize>,
    bytes: &[u8],
) -> Result<Entry> {
    let view = View {
        dtype: view.storage.dtype,
        storage,
        offset: view.offset,
        shape: view.shape.clone(),
        strides: view.strides.clone(),
    };
    view.check(bytes.len()).map_err(|e| e.within(format_args!("tensor `{name}`")))?;
    Ok(Entry::in_file(name, view))
}

#[cfg(test)]
mod tests;
