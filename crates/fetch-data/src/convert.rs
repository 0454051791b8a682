//! Published forms that `prep` does not read, turned into ones that it does.
//!
//! Each function looks for the published files in `raw` and writes what it makes of them
//! below `target`. `Ok(false)` means that they are not there. With `ours`, `raw` is a
//! temporary folder of ours, and files may be moved out of it; else it is the user's, and
//! they are copied.

mod caltech101;
mod flowers102;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use matfile::{Array, MatFile, NumericData};
use torchmill::progress::{Progress, Unit};
use torchmill::{Context, Error, Result, interrupt};

use crate::catalogue::classes;
pub use caltech101::caltech101;
pub use flowers102::flowers102;

/// See the module.
pub type Convert = fn(raw: &Path, ours: bool, target: &Path) -> Result<bool>;

/// SVHN's cropped digits, MATLAB files, into records of CIFAR-10's form: `train.bin` and
/// `test.bin`.
///
/// `X` is [32, 32, 3, N] (rows, columns, colours, images) with the first index varying
/// fastest; `y` is 1 to 10, where 10 stands for the digit 0. Source:
/// <http://ufldl.stanford.edu/housenumbers/>, Format 2.
pub fn svhn(raw: &Path, _ours: bool, target: &Path) -> Result<bool> {
    let splits = ["train", "test"];
    if !splits.iter().all(|split| raw.join(format!("{split}_32x32.mat")).is_file()) {
        return Ok(false);
    }
    for split in splits {
        let source = raw.join(format!("{split}_32x32.mat"));
        let file = BufReader::new(File::open(&source).doing("read", &source)?);
        let mat = MatFile::parse(file)
            .map_err(|e| unreadable(&source, &format!("no MATLAB 5 file ({e})")))?;
        let records = svhn_records(&mat).map_err(|why| unreadable(&source, why))?;
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
    mat: &MatFile,
) -> std::result::Result<impl Iterator<Item = Vec<u8>>, &'static str> {
    let pixels =
        mat.find_by_name("X").and_then(bytes).ok_or("has no array X of bytes")?;
    let labels =
        mat.find_by_name("y").and_then(bytes).ok_or("has no array y of small numbers")?;
    let size = mat.find_by_name("X").map(Array::size);
    if size != Some(&vec![32, 32, 3, labels.len()]) || pixels.len() != labels.len() * 3072
    {
        return Err(
            "its arrays X and y do not belong together: X should be [32, 32, 3, N] and y have N labels",
        );
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

/// An array's numbers, where they are bytes or could be.
fn bytes(array: &Array) -> Option<Vec<u8>> {
    match array.data() {
        NumericData::UInt8 { real, imag: None } => Some(real.clone()),
        NumericData::Double { real, imag: None } => real
            .iter()
            .map(|&x| (x.fract() == 0.0 && (0.0..256.0).contains(&x)).then_some(x as u8))
            .collect(),
        _ => None,
    }
}

/// The side of STL-10's square images.
const STL10_SIDE: usize = 96;

/// STL-10's labelled images into PNG files in a folder per class. The 100,000 without
/// labels are left out.
///
/// An image is three planes of 96 x 96 bytes, each column by column; labels are 1 to 10.
/// Source: <https://cs.stanford.edu/~acoates/stl10/>.
pub fn stl10(raw: &Path, _ours: bool, target: &Path) -> Result<bool> {
    let Some(base) = holding(raw, "train_X.bin") else { return Ok(false) };
    for split in ["train", "test"] {
        let (images, labels) =
            (base.join(format!("{split}_X.bin")), base.join(format!("{split}_y.bin")));
        let labels_of = fs::read(&labels).doing("read", &labels)?;
        let about = fs::metadata(&images).doing("read", &images)?;
        let size = 3 * STL10_SIDE * STL10_SIDE;
        if about.len() != (labels_of.len() * size) as u64 {
            return Err(unreadable(
                &images,
                &format!(
                    "has {} bytes where {} labels ask for {size} each",
                    about.len(),
                    labels_of.len()
                ),
            ));
        }
        let mut reader = BufReader::new(File::open(&images).doing("read", &images)?);
        let mut bar = Progress::new(
            format!("converting {split}"),
            Some(labels_of.len() as u64),
            Unit::Count("images"),
        );
        let mut planar = vec![0; size];
        for (number, label) in labels_of.iter().enumerate() {
            interrupt::check()?;
            reader.read_exact(&mut planar).doing("read", &images)?;
            let class = usize::from(*label)
                .checked_sub(1)
                .and_then(|label| classes::STL10.get(label));
            let Some(class) = class else {
                return Err(unreadable(
                    &labels,
                    &format!("label {number} is {label}, not 1 to 10"),
                ));
            };
            let folder = target.join(split).join(class);
            fs::create_dir_all(&folder).doing("make the folder", &folder)?;
            let path = folder.join(format!("{number:04}.png"));
            let mut out = BufWriter::new(File::create(&path).doing("write", &path)?);
            let side = STL10_SIDE as u32;
            PngEncoder::new(&mut out)
                .write_image(&stl10_pixels(&planar), side, side, ExtendedColorType::Rgb8)
                .map_err(|e| {
                    Error::failed(format_args!("cannot write {}: {e}", path.display()))
                })?;
            out.flush().doing("write", &path)?;
            bar.add(1);
        }
        bar.finish();
    }
    Ok(true)
}

/// Planes of columns to rows of RGB pixels.
fn stl10_pixels(planar: &[u8]) -> Vec<u8> {
    let plane = STL10_SIDE * STL10_SIDE;
    let at = |row: usize, column: usize, colour: usize| {
        planar[colour * plane + column * STL10_SIDE + row]
    };
    let places = (0..plane).map(|i| (i / STL10_SIDE, i % STL10_SIDE));
    places
        .flat_map(|(row, column)| [0, 1, 2].map(|colour| at(row, column, colour)))
        .collect()
}

/// One of EMNIST's splits out of the archive that holds them all.
pub fn emnist(split: &str, raw: &Path, ours: bool, target: &Path) -> Result<bool> {
    let files = [
        "train-images-idx3",
        "train-labels-idx1",
        "test-images-idx3",
        "test-labels-idx1",
    ];
    let files = files.map(|file| format!("emnist-{split}-{file}-ubyte.gz"));
    let Some(base) = holding(raw, &files[0]) else { return Ok(false) };
    for file in files {
        take(&base.join(&file), &target.join(&file), ours)?;
    }
    Ok(true)
}

/// A subset of ImageNet as fast.ai publishes them: the folders, called by WordNet's
/// numbers, get the names of their classes, and the validation images become the test
/// split.
pub fn imagenet_subset(
    folders: &[(&str, &str)],
    raw: &Path,
    ours: bool,
    target: &Path,
) -> Result<bool> {
    let Some(base) = holding(raw, &format!("train/{}", folders[0].0)) else {
        return Ok(false);
    };
    for (from, to) in [("train", "train"), ("val", "test")] {
        for (number, class) in folders {
            take(&base.join(from).join(number), &target.join(to).join(class), ours)?;
        }
    }
    Ok(true)
}

/// The folder that holds `file`: `raw`, or one not deep below it.
fn holding(raw: &Path, file: &str) -> Option<PathBuf> {
    let mut level = vec![raw.to_path_buf()];
    for _ in 0..3 {
        if let Some(folder) = level.iter().find(|folder| folder.join(file).exists()) {
            return Some(folder.clone());
        }
        let below = level
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .flatten();
        level = below.map(|e| e.path()).filter(|path| path.is_dir()).take(1000).collect();
    }
    None
}

/// Moves or copies a file or a folder.
fn take(from: &Path, to: &Path, ours: bool) -> Result<()> {
    interrupt::check()?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).doing("make the folder", folder)?;
    }
    if ours {
        return fs::rename(from, to).doing("move", from);
    }
    if from.is_dir() {
        for entry in fs::read_dir(from).doing("read the folder", from)? {
            let entry = entry.doing("read the folder", from)?;
            take(&entry.path(), &to.join(entry.file_name()), ours)?;
        }
        return Ok(());
    }
    fs::copy(from, to).map(drop).doing("copy", from)
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
