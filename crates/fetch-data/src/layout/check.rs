//! Whether a data set's files are whole, told by their sizes and counts. What is inside is `prep`'s to check.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use torchmill::dataset::Kind;
use torchmill::{Context, Error, Result, interrupt};

use super::{Layout, images};
use crate::catalogue::Entry;

/// Checks the files of `layout` in `folder` and counts their images, and with `published` that there are as many images as `entry`
/// says. Returns the number of labels in use: the largest and one more (for IDX files, else 0).
pub fn check(folder: &Path, layout: &mut Layout, entry: &Entry, published: bool) -> Result<usize> {
    let mut labels = 0;
    for split in entry.splits {
        let Some(files) = layout.splits.get(split.name) else { continue };
        let mut found = 0;
        match layout.kind {
            Kind::Cifar10 => found = records(folder, files, 1 + 3072)?,
            Kind::Cifar100 => found = records(folder, files, 2 + 3072)?,
            Kind::Idx => {
                // Pairs: images, then their labels.
                for pair in files.chunks_exact(2) {
                    let (images, largest) = pair_of_idx(&folder.join(&pair[0]), &folder.join(&pair[1]))?;
                    found += images;
                    labels = labels.max(usize::from(largest) + 1);
                }
            }
            Kind::ImageFolder => {
                for file in files {
                    found += images::count(&folder.join(file))?;
                }
            }
        }
        layout.images.insert(split.name.to_owned(), found);
        if published && found != split.images {
            return Err(Error::failed(format_args!(
                "the {} split in {} has {found} images where {} are published",
                split.name,
                folder.display(),
                split.images
            )));
        }
    }
    Ok(labels)
}

/// How many records of `size` bytes the files hold together.
fn records(folder: &Path, files: &[String], size: u64) -> Result<u64> {
    let mut count = 0;
    for file in files {
        let path = folder.join(file);
        let length = fs::metadata(&path).doing("read", &path)?.len();
        if length == 0 || length % size != 0 {
            return Err(Error::failed(format_args!(
                "{} has {length} bytes, which is no whole number of records of {size} bytes: it is cut short or \
                 something else",
                path.display()
            )));
        }
        count += length / size;
    }
    Ok(count)
}

/// The number of images in a pair of IDX files, and the largest label.
fn pair_of_idx(images: &Path, labels: &Path) -> Result<(u64, u8)> {
    let [count, height, width] = idx_header::<3>(&mut *open(images)?, images)?;
    // Three numbers of 32 bits can make one that 64 do not hold.
    let length = u64::from(height) * u64::from(width);
    let bytes = u64::from(count).checked_mul(length);
    let Some(bytes) = bytes.filter(|&b| b > 0) else {
        return Err(Error::failed(format_args!(
            "{} says that it holds {count} images of {height}x{width}",
            images.display()
        )));
    };
    expect(images, 16, bytes, &mut |_| {})?;
    let [label_count] = idx_header::<1>(&mut *open(labels)?, labels)?;
    if label_count != count {
        return Err(Error::failed(format_args!(
            "{} holds {count} images and {} {label_count} labels",
            images.display(),
            labels.display()
        )));
    }
    let mut largest = 0;
    expect(labels, 8, u64::from(count), &mut |part| largest = part.iter().copied().fold(largest, u8::max))?;
    Ok((u64::from(count), largest))
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(1 << 17, File::open(path).doing("read", path)?);
    let gzipped = path.extension().is_some_and(|e| e == "gz");
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// The dimensions in the header of an IDX file of unsigned bytes: two zeros, type 8, their number, and each as
/// a big-endian u32 (the MNIST database's page describes the format).
fn idx_header<const N: usize>(reader: &mut dyn Read, path: &Path) -> Result<[u32; N]> {
    let mut magic = [0; 4];
    reader.read_exact(&mut magic).map_err(|e| damaged(path, &e))?;
    if magic != [0, 0, 8, N as u8] {
        return Err(Error::failed(format_args!(
            "{} is no IDX file of {N} dimensions of bytes: it begins with {magic:02x?}",
            path.display()
        )));
    }
    let mut dimensions = [0; N];
    for dimension in &mut dimensions {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(|e| damaged(path, &e))?;
        *dimension = u32::from_be_bytes(bytes);
    }
    Ok(dimensions)
}

/// Reads the file to its end: a header, then exactly `length` bytes, which `each` sees piece by piece.
fn expect(path: &Path, header: u64, length: u64, each: &mut dyn FnMut(&[u8])) -> Result<()> {
    let mut reader = open(path)?;
    let mut buffer = vec![0; 1 << 17];
    let mut start = vec![0; header as usize];
    reader.read_exact(&mut start).map_err(|e| damaged(path, &e))?;
    let mut seen = 0u64;
    loop {
        interrupt::check()?;
        let n = reader.read(&mut buffer).map_err(|e| damaged(path, &e))?;
        seen += n as u64;
        if (n == 0 && seen < length) || seen > length {
            let amount = if n == 0 { format!("only {seen}") } else { "more".to_owned() };
            return Err(Error::failed(format_args!(
                "{}: its header promises {length} bytes and there are {amount}",
                path.display()
            )));
        }
        if n == 0 {
            return Ok(());
        }
        each(&buffer[..n]);
    }
}

fn damaged(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Error::failed(format_args!("{} is damaged ({error})", path.display()))
        }
        _ => Error::io(format_args!("cannot read {}", path.display()), error),
    }
}
