//! CIFAR-10 and CIFAR-100, the binary version: records of one label byte (CIFAR-10) or a
//! coarse and a fine one (CIFAR-100), then 3,072 pixel bytes: red, green and blue planes
//! of 32 x 32. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::Path;

use super::class_names::read_class_names;
use super::detect::{Detected, describe, holding};
use super::records::{Bytes, Records};
use super::source_folder::SourceFolder;
use super::store::Store;
use super::{Dataset, Manifest, RawFormat, Sample};
use crate::{Context, Error, Result, progress};

/// An image's shape, channels first.
pub(super) const SHAPE: [usize; 3] = [3, 32, 32];
/// The number of bytes of an image.
pub(super) const PIXELS: usize = 3 * 32 * 32;

/// CIFAR-10's batches in `folder` or in the folder that its archive makes.
pub(super) fn detect_cifar10(folder: &SourceFolder) -> Result<Option<Detected>> {
    let subfolders = ["", "cifar-10-batches-bin"];
    let Some(sub) = holding(folder, &subfolders, "data_batch_1.bin")
        .or_else(|| holding(folder, &subfolders, "test_batch.bin"))
    else {
        return Ok(None);
    };
    let names = format!("{sub}batches.meta.txt");
    let classes = read_class_names(&folder.join(&names), &folder.shown_path(&names))?;
    let train = (1..=5).map(|i| format!("{sub}data_batch_{i}.bin")).collect();
    let test = vec![format!("{sub}test_batch.bin")];
    let splits = [("train".to_owned(), train), ("test".to_owned(), test)].into();
    let manifest = describe(folder, "cifar10", RawFormat::Cifar10, classes, splits);
    Ok(Some(Detected { manifest, notes: Vec::new() }))
}

/// CIFAR-100's files in `folder` or in the folder that its archive makes.
pub(super) fn detect_cifar100(folder: &SourceFolder) -> Result<Option<Detected>> {
    let names = "fine_label_names.txt";
    let Some(sub) = holding(folder, &["", "cifar-100-binary"], names) else {
        return Ok(None);
    };
    let names = format!("{sub}{names}");
    let classes = read_class_names(&folder.join(&names), &folder.shown_path(&names))?;
    let file = |split: &str| (split.to_owned(), vec![format!("{sub}{split}.bin")]);
    let splits = [file("train"), file("test")].into();
    let manifest = describe(folder, "cifar100", RawFormat::Cifar100, classes, splits);
    Ok(Some(Detected { manifest, notes: Vec::new() }))
}

/// Adds a split's batch files to `set` and returns their samples. A record begins with
/// `label_bytes` bytes, of which the last is the label.
pub(super) fn open(
    set: &mut Dataset,
    folder: &SourceFolder,
    manifest: &Manifest,
    files: &[String],
    label_bytes: usize,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for name in files {
        let records = open_file(folder, name, label_bytes)?;
        let labels = read_labels(&records)?;
        check_labels(&labels, &records, &folder.shown_path(name), &manifest.classes)?;
        let store = set.next_store()?;
        for (label, record) in labels.iter().zip(0..) {
            samples.push(Sample { label: u32::from(*label), store, record });
        }
        set.stores.push(Store::Records(records));
    }
    Ok(samples)
}

/// The label of every record.
fn read_labels(records: &Records) -> Result<Vec<u8>> {
    let record = records.before + PIXELS;
    let mut labels = Vec::with_capacity(records.count);
    let take = |block: &[u8]| {
        labels.extend(block.chunks_exact(record).map(|r| r[records.before - 1]));
        Ok(())
    };
    records.bytes.blocks(0, record * 256, take).doing("read", &records.path)??;
    Ok(labels)
}

fn check_labels(
    labels: &[u8],
    records: &Records,
    shown: &Path,
    classes: &[String],
) -> Result<()> {
    let Some(i) = labels.iter().position(|&l| usize::from(l) >= classes.len()) else {
        return Ok(());
    };
    Err(Error::failed(format_args!(
        "{}: record {i} (at byte {}) has label {}, but there are {} classes: the file is \
         damaged or of another data set",
        shown.display(),
        records.offset(i),
        labels[i],
        classes.len()
    )))
}

fn open_file(folder: &SourceFolder, name: &str, label_bytes: usize) -> Result<Records> {
    folder.check_inside(name)?;
    let (path, shown) = (folder.join(name), folder.shown_path(name));
    let bytes = Bytes::open(&path, &shown)?;
    let count = count(bytes.count, label_bytes).map_err(|e| e.within(shown.display()))?;
    Ok(Records {
        path,
        name: name.to_owned(),
        start: 0,
        before: label_bytes,
        shape: SHAPE,
        count,
        bytes,
    })
}

/// How many records a file of this length holds.
fn count(length: u64, label_bytes: usize) -> Result<usize> {
    let record = (label_bytes + PIXELS) as u64;
    if length == 0 || !length.is_multiple_of(record) {
        return Err(Error::failed(format_args!(
            "has {} bytes, which is not a whole number of records of {} bytes: it is \
             truncated or not a batch of CIFAR's binary version; fetch it again",
            progress::count(length),
            progress::count(record)
        )));
    }
    match u32::try_from(length / record) {
        Ok(count) => Ok(count as usize),
        Err(_) => Err(Error::failed("has more than 4 billion records")),
    }
}
