//! CIFAR-10 and CIFAR-100, the Python version: pickles of a dictionary with `data`, a
//! numpy array of bytes `[N, 3072]` (red, green and blue planes of 32 x 32), and `labels`
//! (CIFAR-10) or `fine_labels` (CIFAR-100), a list of N numbers. Nothing in a pickle is
//! executed. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! The array's bytes are stored unchanged in the file, so records are read directly from
//! it.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::cifar::{PIXELS, SHAPE};
use super::detect::{Detected, SplitFiles, describe, holding};
use super::pickle::{Array, Id, Pickle};
use super::records::{Bytes, Records};
use super::source_folder::SourceFolder;
use super::store::Store;
use super::{Dataset, Manifest, RawFormat, Sample};
use crate::{Error, Result};

/// The Python version in `folder` or in the folder that its archive makes.
pub(super) fn detect(folder: &SourceFolder) -> Result<Option<Detected>> {
    if let Some(sub) = holding(folder, &["", "cifar-10-batches-py"], "batches.meta") {
        let train = (1..=5).map(|i| format!("{sub}data_batch_{i}")).collect();
        let test = vec![format!("{sub}test_batch")];
        let splits = [("train".to_owned(), train), ("test".to_owned(), test)].into();
        let names = format!("{sub}batches.meta");
        return described(folder, "cifar10", &names, "label_names", splits).map(Some);
    }
    let Some(sub) = holding(folder, &["", "cifar-100-python"], "meta") else {
        return Ok(None);
    };
    let train = format!("{sub}train");
    let test = format!("{sub}test");
    if !folder.join(&train).is_file() || !folder.join(&test).is_file() {
        return Ok(None);
    }
    let splits =
        [("train".to_owned(), vec![train]), ("test".to_owned(), vec![test])].into();
    let names = format!("{sub}meta");
    described(folder, "cifar100", &names, "fine_label_names", splits).map(Some)
}

/// The manifest with the class names that the pickle `names` lists under `key`.
fn described(
    folder: &SourceFolder,
    dataset: &str,
    names: &str,
    key: &str,
    splits: SplitFiles,
) -> Result<Detected> {
    let shown = folder.shown_path(names);
    let pickle = Pickle::read(&folder.join(names), &shown)?;
    let list = pickle.entry(key).and_then(|names| pickle.list(names));
    let texts: Option<Vec<String>> =
        list.and_then(|list| list.iter().map(|id| pickle.text(*id)).collect());
    let Some(classes) = texts.filter(|classes| !classes.is_empty()) else {
        return Err(Error::failed(format_args!(
            "{}: has no list `{key}` of class names",
            shown.display()
        )));
    };
    let manifest = describe(folder, dataset, RawFormat::CifarPickle, classes, splits);
    Ok(Detected { manifest, notes: Vec::new() })
}

/// Adds a split's pickles to `set` and returns their samples.
pub(super) fn open(
    set: &mut Dataset,
    folder: &SourceFolder,
    manifest: &Manifest,
    files: &[String],
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for name in files {
        folder.check_inside(name)?;
        let (path, shown) = (folder.join(name), folder.shown_path(name));
        let pickle = Pickle::read(&path, &shown)?;
        let labels = labels(&pickle, manifest.classes.len())
            .map_err(|e| e.within(shown.display()))?;
        let array =
            pixels(&pickle, labels.len()).map_err(|e| e.within(shown.display()))?;
        let store = set.next_store()?;
        for (label, record) in labels.iter().zip(0..) {
            samples.push(Sample { label: *label, store, record });
        }
        set.stores.push(Store::Records(Records {
            bytes: open_bytes(&path, &shown, &array)?,
            path,
            name: name.clone(),
            start: array.start as usize,
            before: 0,
            shape: SHAPE,
            count: labels.len(),
        }));
    }
    Ok(samples)
}

/// The file, which still holds the whole array.
fn open_bytes(path: &Path, shown: &Path, array: &Array) -> Result<Bytes> {
    let bytes = Bytes::open(path, shown)?;
    if bytes.count < array.start + array.length {
        return Err(Error::failed(format_args!(
            "{}: has changed while it was read",
            shown.display()
        )));
    }
    Ok(bytes)
}

fn labels(pickle: &Pickle, classes: usize) -> Result<Vec<u32>> {
    let list = ["labels", "fine_labels"]
        .iter()
        .find_map(|key| pickle.entry(key))
        .and_then(|labels| pickle.list(labels));
    let Some(list) = list else {
        return Err(Error::failed("has no list `labels` or `fine_labels`"));
    };
    let mut labels = Vec::with_capacity(list.len());
    for (i, id) in list.iter().enumerate() {
        let label = label(pickle, *id, classes).ok_or_else(|| {
            Error::failed(format_args!(
                "label {i} is not one of the {classes} classes' numbers"
            ))
        })?;
        labels.push(label);
    }
    Ok(labels)
}

fn label(pickle: &Pickle, id: Id, classes: usize) -> Option<u32> {
    let label = u32::try_from(pickle.integer(id)?).ok()?;
    ((label as usize) < classes).then_some(label)
}

/// Finds the array with the pixels of `count` images.
fn pixels(pickle: &Pickle, count: usize) -> Result<Array> {
    let array = pickle.entry("data").and_then(|data| pickle.array_of_bytes(data));
    let Some(array) = array else {
        return Err(Error::failed(
            "has no array `data` of bytes in the form in which CIFAR is published; get \
             the published file",
        ));
    };
    if array.shape != [count, PIXELS] || array.length != (count * PIXELS) as u64 {
        return Err(Error::failed(format_args!(
            "its array has the shape {:?}, but there are {count} labels: expected \
             [{count}, {PIXELS}]",
            array.shape
        )));
    }
    Ok(array)
}
