//! IDX files, MNIST's format: two zero bytes, the element type (8: unsigned bytes), the
//! number of dimensions, each dimension as a big-endian u32, then the elements in
//! row-major order. Gzipped or not. Source: the description on the MNIST database's page,
//! <http://yann.lecun.com/exdb/mnist/>.

mod detect;

use std::path::Path;

pub(super) use detect::detect;

use super::records::{Bytes, Records};
use super::source_folder::SourceFolder;
use super::store::Store;
use super::{Dataset, Manifest, Sample};
use crate::{Context, Error, Result, progress};

/// The longest header: 255 dimensions.
const MAX_HEADER: u64 = 4 + 4 * 255;

/// An IDX header: the dimensions, and where the elements begin.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    dims: Vec<usize>,
    start: usize,
}

/// Adds a split's files, images and labels, to `set` and returns their samples.
pub(super) fn open(
    set: &mut Dataset,
    folder: &SourceFolder,
    manifest: &Manifest,
    files: &[String],
) -> Result<Vec<Sample>> {
    let [images, labels] = files else {
        return Err(Error::failed(format_args!(
            "{}: a split of an IDX data set has two files, images and labels, but \
             dataset.toml lists {}",
            folder.shown(),
            files.len()
        )));
    };
    let records = open_images(folder, images)?;
    let labels = open_labels(folder, labels, &records, manifest)?;
    let store = set.next_store()?;
    set.stores.push(Store::Records(records));
    let mut samples = Vec::with_capacity(labels.len());
    for (label, record) in labels.iter().zip(0..) {
        samples.push(Sample { label: u32::from(*label), store, record });
    }
    Ok(samples)
}

fn open_images(folder: &SourceFolder, name: &str) -> Result<Records> {
    folder.check_inside(name)?;
    let (path, shown) = (folder.join(name), folder.shown_path(name));
    let (bytes, header) = open_file(&path, &shown)?;
    let [count, height, width] = header.dims[..] else {
        return Err(Error::failed(format_args!(
            "{}: holds an array of shape {:?}, not images [count, height, width]",
            shown.display(),
            header.dims
        )));
    };
    if height == 0 || width == 0 || u32::try_from(count).is_err() {
        return Err(Error::failed(format_args!(
            "{}: its header gives {count} images of {height} x {width}",
            shown.display()
        )));
    }
    Ok(Records {
        path,
        name: name.to_owned(),
        start: header.start,
        before: 0,
        shape: [1, height, width],
        count,
        bytes,
    })
}

fn open_labels(
    folder: &SourceFolder,
    name: &str,
    images: &Records,
    manifest: &Manifest,
) -> Result<Vec<u8>> {
    folder.check_inside(name)?;
    let shown = folder.shown_path(name);
    let (bytes, header) = open_file(&folder.join(name), &shown)?;
    if header.dims != [images.count] {
        return Err(Error::failed(format_args!(
            "{}: holds labels of shape {:?}, but {} holds {} images",
            shown.display(),
            header.dims,
            folder.shown_path(&images.name).display(),
            images.count
        )));
    }
    let labels = elements(&bytes, &header, &shown)?;
    match labels.iter().position(|&l| usize::from(l) >= manifest.classes.len()) {
        None => Ok(labels),
        Some(i) => Err(Error::failed(format_args!(
            "{}: label {i} (at byte {}) is {}, but there are {} classes",
            shown.display(),
            header.start + i,
            labels[i],
            manifest.classes.len()
        ))),
    }
}

/// The largest label in an IDX file of labels, used to count classes that have no names.
fn largest_label(folder: &SourceFolder, name: &str) -> Result<u8> {
    let shown = folder.shown_path(name);
    let (bytes, header) = open_file(&folder.join(name), &shown)?;
    let labels = elements(&bytes, &header, &shown)?;
    labels.into_iter().max().ok_or_else(|| {
        Error::failed(format_args!("{}: holds no labels", shown.display()))
    })
}

fn open_file(path: &Path, shown: &Path) -> Result<(Bytes, Header)> {
    let bytes = Bytes::open(path, shown)?;
    let head = bytes.head(MAX_HEADER).doing("read", shown)?;
    let header = parse(&head, bytes.count).map_err(|e| e.within(shown.display()))?;
    Ok((bytes, header))
}

/// All of a file's elements.
fn elements(bytes: &Bytes, header: &Header, shown: &Path) -> Result<Vec<u8>> {
    let mut elements = Vec::new();
    let take = |block: &[u8]| {
        elements.extend_from_slice(block);
        Ok(())
    };
    bytes.blocks(header.start as u64, 1 << 16, take).doing("read", shown)??;
    Ok(elements)
}

/// Checks that a file of `length` bytes that begins with `head` is an IDX file of
/// unsigned bytes, and that its header gives this length.
fn parse(head: &[u8], length: u64) -> Result<Header> {
    let (kind, dims) = match head {
        [0, 0, kind, dims, ..] => (*kind, usize::from(*dims)),
        _ => {
            return Err(Error::failed(
                "is not an IDX file (it does not start with two zero bytes)",
            ));
        }
    };
    if kind != 8 {
        return Err(Error::failed(format_args!(
            "is an IDX file of element type {kind:#04x}; only unsigned bytes (0x08) are \
             images or labels"
        )));
    }
    let start = 4 + 4 * dims;
    let Some(sizes) = head.get(4..start) else {
        return Err(Error::failed(format_args!(
            "ends within its IDX header: {} bytes for {dims} dimensions",
            head.len()
        )));
    };
    let dims: Vec<usize> = sizes
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
    let expected = elements.and_then(|n| n.checked_add(start as u64));
    if dims.is_empty() || expected != Some(length) {
        return Err(Error::failed(format_args!(
            "has {} bytes, but its header, shape {dims:?}, asks for {}: it is truncated \
             or damaged; fetch it again",
            progress::count(length),
            expected.map_or_else(|| "more than there can be".to_owned(), progress::count),
        )));
    }
    Ok(Header { dims, start })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_is_read_and_its_length_believed_only_if_it_fits() {
        let file = [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 6]].concat();
        assert_eq!(parse(&file, 18).unwrap(), Header { dims: vec![2, 3], start: 12 });
        let short = parse(&file[..17], 17).unwrap_err().to_string();
        assert!(
            short.contains("has 17 bytes, but its header, shape [2, 3], asks for 18"),
            "{short}"
        );
        let huge =
            [0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
        assert!(
            parse(&huge, 16).unwrap_err().to_string().contains("more than there can be")
        );
        let floats = parse(&[0, 0, 0x0d, 1, 0, 0, 0, 0], 8).unwrap_err().to_string();
        assert!(floats.contains("element type 0x0d"), "{floats}");
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..64), dims in 0u8..5) {
            let _ = parse(&noise, noise.len() as u64);
            let _ = parse(&[&[0, 0, 8, dims], &noise[..]].concat(), 4 + noise.len() as u64);
        }
    }
}
