//! Converts published formats that `prep` does not read into formats that it does.
//!
//! Each function looks for the published files in `raw` and writes the converted files
//! below `target`. `Ok(false)` means that they were not found. [`Transfer`] says whether
//! files may be moved out of `raw`.

mod caltech101;
mod flowers102;
pub mod mat;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result, interrupt};

use crate::catalogue::{Entry, classes};
use crate::{folders, install};
pub use caltech101::caltech101;
pub use flowers102::flowers102;
use mat::Array;

/// A conversion, as described in the module.
pub type Convert = fn(raw: &Path, transfer: Transfer, target: &Path) -> Result<bool>;

/// How files get from the published folder to the data set's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// The source is a temporary folder of ours.
    Move,
    /// The source is the user's folder.
    Copy,
}

/// The folder that published files go to first: a separate one if they are converted
/// afterwards, else their final one.
pub fn raw_folder(entry: &Entry, target: &Path) -> Result<PathBuf> {
    let raw = if entry.convert().is_some() {
        target.join(".raw")
    } else {
        target.to_path_buf()
    };
    fs::create_dir_all(&raw).doing("make the folder", &raw)?;
    Ok(raw)
}

/// Converts the files in [`raw_folder`], if the data set needs that. Returns `false` if
/// there was nothing to convert.
pub fn run(entry: &Entry, target: &Path, raw: &Path) -> Result<bool> {
    let Some(convert) = entry.convert() else { return Ok(true) };
    let found = convert(raw, Transfer::Move, target)?;
    if found {
        fs::remove_dir_all(raw).doing("remove", raw)?;
    }
    Ok(found)
}

/// Converts SVHN's cropped digits from MATLAB files into records of CIFAR-10's format,
/// `train.bin` and `test.bin`.
///
/// `X` is [32, 32, 3, N] (rows, columns, colours, images) with the first index varying
/// fastest; `y` is 1 to 10, where 10 is the digit 0. Source:
/// <http://ufldl.stanford.edu/housenumbers/>, Format 2.
pub fn svhn(raw: &Path, _transfer: Transfer, target: &Path) -> Result<bool> {
    let splits = ["train", "test"];
    if !splits.iter().all(|split| raw.join(format!("{split}_32x32.mat")).is_file()) {
        return Ok(false);
    }
    for split in splits {
        let source = raw.join(format!("{split}_32x32.mat"));
        let file = fs::read(&source).doing("read", &source)?;
        let records = mat::arrays(&file).and_then(svhn_records);
        let records = records.map_err(|why| unreadable(&source, why))?;
        let path = target.join(format!("{split}.bin"));
        let mut out = BufWriter::new(File::create(&path).doing("write", &path)?);
        for record in records {
            interrupt::check()?;
            out.write_all(&record).doing("write", &path)?;
        }
        finish(out, &path)?;
    }
    Ok(true)
}

fn unreadable(path: &Path, why: &str) -> Error {
    Error::failed(format_args!("{}: {why}", path.display()))
}

/// The records one after the other: a label, then the planes of red, green and blue, row
/// by row.
fn svhn_records(
    mut arrays: HashMap<String, Array>,
) -> std::result::Result<impl Iterator<Item = Vec<u8>>, mat::Why> {
    let pixels = arrays.remove("X").ok_or("has no array X of bytes")?;
    let labels = arrays.remove("y").and_then(Array::into_bytes);
    let labels = labels.ok_or("has no array y of small numbers")?;
    let size = pixels.size.clone();
    let pixels = pixels.into_bytes().ok_or("has no array X of bytes")?;
    if size != [32, 32, 3, labels.len()] {
        return Err("its arrays X and y do not match: X should be [32, 32, 3, N] and y \
             have N labels");
    }
    if labels.iter().any(|label| !(1..=10).contains(label)) {
        return Err("has labels other than 1 to 10");
    }
    Ok((0..labels.len()).map(move |n| {
        let image = &pixels[n * 3072..(n + 1) * 3072];
        let mut record = Vec::with_capacity(3073);
        record.push(labels[n] % 10);
        for plane in image.chunks_exact(1024) {
            record.extend((0..1024).map(|at| plane[at / 32 + 32 * (at % 32)]));
        }
        record
    }))
}

/// The side of STL-10's square images.
const STL10_SIDE: usize = 96;

/// Converts STL-10's labelled images into PNG files in a folder per class. The 100,000
/// without labels are left out.
///
/// An image is three planes of 96 x 96 bytes, each in column-major order; labels are 1 to
/// 10. Source: <https://cs.stanford.edu/~acoates/stl10/>.
pub fn stl10(raw: &Path, _transfer: Transfer, target: &Path) -> Result<bool> {
    let Some(base) = folder_with(raw, "train_X.bin") else { return Ok(false) };
    for split in ["train", "test"] {
        stl10_split(&base, split, target)?;
    }
    Ok(true)
}

fn stl10_split(base: &Path, split: &str, target: &Path) -> Result<()> {
    let images = base.join(format!("{split}_X.bin"));
    let labels = base.join(format!("{split}_y.bin"));
    let numbers = fs::read(&labels).doing("read", &labels)?;
    let size = 3 * STL10_SIDE * STL10_SIDE;
    let length = fs::metadata(&images).doing("read", &images)?.len();
    if length != (numbers.len() * size) as u64 {
        let count = numbers.len();
        let why =
            format!("has {length} bytes where {count} labels need {size} bytes each");
        return Err(unreadable(&images, &why));
    }
    let mut reader = BufReader::new(File::open(&images).doing("read", &images)?);
    let mut bar = Progress::new(
        format!("converting {split}"),
        Some(numbers.len() as u64),
        Unit::Count("images"),
    );
    let mut planar = vec![0; size];
    for (i, number) in numbers.iter().enumerate() {
        interrupt::check()?;
        reader.read_exact(&mut planar).doing("read", &images)?;
        let index = usize::from(*number).checked_sub(1);
        let Some(class) = index.and_then(|index| classes::STL10.get(index)) else {
            let why = format!("label {i} is {number}, not 1 to 10");
            return Err(unreadable(&labels, &why));
        };
        let path = target.join(split).join(class).join(format!("{i:04}.png"));
        write_stl10_png(&path, &planar)?;
        bar.add(1);
    }
    bar.finish();
    Ok(())
}

fn write_stl10_png(path: &Path, planar: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing("make the folder", folder)?;
    }
    let mut out = BufWriter::new(File::create(path).doing("write", path)?);
    let side = STL10_SIDE as u32;
    PngEncoder::new(&mut out)
        .write_image(&stl10_pixels(planar), side, side, ExtendedColorType::Rgb8)
        .map_err(|e| {
            Error::failed(format_args!("cannot write {}: {e}", path.display()))
        })?;
    out.flush().doing("write", path)
}

/// Converts column-major planes to rows of RGB pixels.
fn stl10_pixels(planar: &[u8]) -> Vec<u8> {
    let plane = STL10_SIDE * STL10_SIDE;
    let mut pixels = Vec::with_capacity(planar.len());
    for row in 0..STL10_SIDE {
        for column in 0..STL10_SIDE {
            for colour in 0..3 {
                pixels.push(planar[colour * plane + column * STL10_SIDE + row]);
            }
        }
    }
    pixels
}

/// Takes one of EMNIST's data sets out of the archive that holds all of them.
pub fn emnist(split: &str, raw: &Path, how: Transfer, target: &Path) -> Result<bool> {
    let files = [
        "train-images-idx3",
        "train-labels-idx1",
        "test-images-idx3",
        "test-labels-idx1",
    ];
    let files = files.map(|file| format!("emnist-{split}-{file}-ubyte.gz"));
    let Some(base) = folder_with(raw, &files[0]) else { return Ok(false) };
    for file in files {
        transfer(&base.join(&file), &target.join(&file), how)?;
    }
    Ok(true)
}

/// Converts one of fast.ai's subsets of ImageNet: folders named by WordNet IDs get the
/// names of their classes, and the validation images become the test split.
pub fn imagenet_subset(
    folders: &[(&str, &str)],
    raw: &Path,
    how: Transfer,
    target: &Path,
) -> Result<bool> {
    let Some(base) = folder_with(raw, &format!("train/{}", folders[0].0)) else {
        return Ok(false);
    };
    for (from, to) in [("train", "train"), ("val", "test")] {
        for (number, class) in folders {
            transfer(&base.join(from).join(number), &target.join(to).join(class), how)?;
        }
    }
    Ok(true)
}

/// The folder that holds `file`: `raw`, or one at most two levels below it.
fn folder_with(raw: &Path, file: &str) -> Option<PathBuf> {
    let folders = folders::below(raw).into_iter().map(|folder| raw.join(folder));
    folders.into_iter().find(|folder| folder.join(file).exists())
}

/// Moves or copies a file or a folder.
pub fn transfer(from: &Path, to: &Path, how: Transfer) -> Result<()> {
    interrupt::check()?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).doing("make the folder", folder)?;
    }
    if how == Transfer::Move {
        return fs::rename(from, to).doing("move", from);
    }
    if !from.is_dir() {
        return install::copy_file(from, to);
    }
    for entry in fs::read_dir(from).doing("read the folder", from)? {
        let entry = entry.doing("read the folder", from)?;
        transfer(&entry.path(), &to.join(entry.file_name()), how)?;
    }
    Ok(())
}

fn finish(out: BufWriter<File>, path: &Path) -> Result<()> {
    let file = out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .doing("write", path)?;
    file.sync_all().doing("write", path)
}

#[cfg(test)]
mod tests;
