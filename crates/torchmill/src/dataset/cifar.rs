//! CIFAR-10 and CIFAR-100, the binary version: records of one label byte (CIFAR-10) or a
//! coarse and a fine one (CIFAR-100), then 3,072 pixel bytes: red, green and blue planes
//! of 32 x 32. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::Path;

use super::records::{self, Bytes, Records};
use super::store::Store;
use super::{Dataset, Manifest, RawFormat, Sample};
use crate::{Context, Error, Result, progress};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Adds a split's batch files to `set` and returns their samples.
pub(super) fn open(
    set: &mut Dataset,
    folder: &Path,
    manifest: &Manifest,
    files: &[String],
) -> Result<Vec<Sample>> {
    // CIFAR-100's classes are the fine ones: its label is the second byte.
    let before = if manifest.kind == RawFormat::Cifar100 { 2 } else { 1 };
    let mut samples = Vec::new();
    for name in files {
        let records = open_file(folder, name, manifest, before)?;
        let store = set.stores.len() as u32;
        let mut i = 0;
        let mut label_of = |record: &[u8]| {
            let label = u32::from(record[before - 1]);
            if label as usize >= manifest.classes.len() {
                return Err(Error::failed(format_args!(
                    "{}: record {i} (at byte {}) has label {label}, but there are {} classes: the file is \
                     damaged or of another data set",
                    records.path.display(),
                    records.offset(i),
                    manifest.classes.len()
                )));
            }
            samples.push(Sample { label, store, record: i as u32 });
            i += 1;
            Ok(())
        };
        let record = before + PIXELS;
        let labels =
            |block: &[u8]| block.chunks_exact(record).try_for_each(&mut label_of);
        records.bytes.blocks(0, record * 256, labels).doing("read", &records.path)??;
        set.add_store(Store::Records(records))?;
    }
    Ok(samples)
}

fn open_file(
    folder: &Path,
    name: &str,
    manifest: &Manifest,
    before: usize,
) -> Result<Records> {
    let path = records::inside(folder, name)?;
    let bytes = Bytes::open(&path)?;
    let count =
        count(bytes.count as usize, before).map_err(|e| e.within(path.display()))?;
    let checksum = manifest.checksums.get(name).cloned();
    Ok(Records {
        path,
        name: name.to_owned(),
        checksum,
        start: 0,
        before,
        shape: SHAPE,
        count,
        bytes,
    })
}

/// How many records a file of this length holds.
fn count(length: usize, before: usize) -> Result<usize> {
    let record = before + PIXELS;
    match (length / record, length % record) {
        (0, _) | (_, 1..) => Err(Error::failed(format_args!(
            "has {} bytes, which is no whole number of records of {} bytes: it is truncated or no batch of \
             CIFAR's binary version; fetch it again",
            progress::count(length as u64),
            progress::count(record as u64)
        ))),
        (count, _) if u32::try_from(count).is_ok() => Ok(count),
        _ => Err(Error::failed("has more than 4 billion records")),
    }
}
