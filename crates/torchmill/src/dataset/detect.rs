//! What a folder without a dataset.toml holds, told by its files' names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Manifest, RawFormat, UNSPLIT, idx, image_folder};
use crate::{Context, Error, Result};

/// Describes the data set in `folder`: CIFAR-10's or CIFAR-100's binary version or IDX
/// files (in the folder itself or where their archives and torchvision put them), or
/// image files in a folder per class.
///
/// Where none of it is there, the error says what was looked for.
pub fn manifest(folder: &Path) -> Result<Manifest> {
    let about = std::fs::metadata(folder).doing("read", folder)?;
    if !about.is_dir() {
        return Err(Error::failed(format_args!(
            "{} is a file; prep reads folders, and lists named *.csv or *.tsv",
            folder.display()
        )));
    }
    // Reading the folder once tells an unreadable one from an empty one.
    std::fs::read_dir(folder).doing("read the folder", folder)?;
    for find in [cifar10, cifar100, idx_files, images] {
        if let Some(manifest) = find(folder)? {
            return Ok(manifest);
        }
    }
    Err(Error::failed(format_args!(
        "{} holds no data set: looked for CIFAR's *.bin batches, IDX files (*-images-idx3-ubyte), and images in \
         a folder per class (.jpg .png ...)",
        folder.display()
    )))
}

fn describe(
    folder: &Path,
    name: &str,
    kind: RawFormat,
    classes: Vec<String>,
    splits: Splits,
) -> Manifest {
    Manifest {
        name: name.to_owned(),
        kind,
        classes,
        source: folder.display().to_string(),
        verified: false,
        licence: String::new(),
        splits,
        checksums: BTreeMap::new(),
    }
}

type Splits = BTreeMap<String, Vec<String>>;

/// `name` where it lies in `folder`, joined with the subfolder that it was found in.
fn below(folder: &Path, subfolders: &[&str], mark: &str) -> Option<String> {
    let holds = |sub: &&&str| folder.join(sub).join(mark).exists();
    subfolders
        .iter()
        .find(holds)
        .map(|sub| if sub.is_empty() { String::new() } else { format!("{sub}/") })
}

fn cifar10(folder: &Path) -> Result<Option<Manifest>> {
    let Some(sub) = below(folder, &["", "cifar-10-batches-bin"], "data_batch_1.bin")
        .or_else(|| below(folder, &["", "cifar-10-batches-bin"], "test_batch.bin"))
    else {
        return Ok(None);
    };
    let classes = class_names(&folder.join(format!("{sub}batches.meta.txt")))?;
    let train = (1..=5).map(|i| format!("{sub}data_batch_{i}.bin")).collect();
    let splits = [
        ("train".to_owned(), train),
        ("test".to_owned(), vec![format!("{sub}test_batch.bin")]),
    ];
    Ok(Some(describe(folder, "cifar10", RawFormat::Cifar10, classes, splits.into())))
}

fn cifar100(folder: &Path) -> Result<Option<Manifest>> {
    let Some(sub) = below(folder, &["", "cifar-100-binary"], "fine_label_names.txt")
    else {
        return Ok(None);
    };
    let classes = class_names(&folder.join(format!("{sub}fine_label_names.txt")))?;
    let splits = ["train", "test"]
        .map(|split| (split.to_owned(), vec![format!("{sub}{split}.bin")]));
    Ok(Some(describe(folder, "cifar100", RawFormat::Cifar100, classes, splits.into())))
}

/// The class names in one of CIFAR's text files, one a line.
fn class_names(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).doing("read the class names in", path)?;
    let names: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(Error::failed(format_args!(
            "{} holds no class names",
            path.display()
        )));
    }
    Ok(names)
}

fn idx_files(folder: &Path) -> Result<Option<Manifest>> {
    // Where torchvision leaves them: MNIST/raw below the root it was given.
    for sub in ["", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw"] {
        let at = if sub.is_empty() { folder.to_path_buf() } else { folder.join(sub) };
        if let Some(manifest) = idx_in(folder, &at, sub)? {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

fn idx_in(folder: &Path, at: &Path, sub: &str) -> Result<Option<Manifest>> {
    let Ok(entries) = std::fs::read_dir(at) else { return Ok(None) };
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        names.extend(
            entry.doing("read the folder", at)?.file_name().to_str().map(str::to_owned),
        );
    }
    names.sort_unstable();
    // `train-images-idx3-ubyte`, `train-images.idx3-ubyte`,
    // `emnist-letters-train-images-idx3-ubyte.gz`
    let stem = |name: &str| {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        let stem = name
            .strip_suffix("-images-idx3-ubyte")
            .or_else(|| name.strip_suffix("-images.idx3-ubyte"));
        stem.map(str::to_owned)
    };
    let mut splits = Splits::new();
    let mut largest = 0;
    for images in &names {
        let Some(stem) = stem(images) else { continue };
        let split = match stem.rsplit('-').next().unwrap_or_default() {
            "t10k" | "test" => "test",
            "train" => "train",
            other => other,
        };
        let plain = images.strip_suffix(".gz").unwrap_or(images);
        let labels = plain
            .replace("-images-idx3", "-labels-idx1")
            .replace("-images.idx3", "-labels.idx1");
        let zipped = format!("{labels}.gz");
        let labels = if names.contains(&zipped) && !names.contains(&labels) {
            zipped
        } else {
            labels
        };
        let place = |name: &str| {
            if sub.is_empty() { name.to_owned() } else { format!("{sub}/{name}") }
        };
        largest = largest.max(idx::largest_label(&at.join(&labels))?);
        let files = vec![place(images), place(&labels)];
        match splits.insert(split.to_owned(), files) {
            // The same file gzipped and not.
            Some(before) if format!("{}.gz", before[0]) == place(images) => {
                splits.insert(split.to_owned(), before);
            }
            Some(before) => {
                return Err(Error::failed(format_args!(
                    "{}: {} and {images} are both there: move one data set to a folder of its own",
                    at.display(),
                    before[0]
                )));
            }
            None => {}
        }
    }
    if splits.is_empty() {
        return Ok(None);
    }
    // IDX files name no classes. MNIST and its relatives number theirs.
    let classes = (0..=largest.max(9)).map(|digit| digit.to_string()).collect();
    Ok(Some(describe(folder, &own_name(folder), RawFormat::Idx, classes, splits)))
}

/// What people call the folders of a split, in lower case.
pub(super) fn split_of(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "test" | "testing" => Some("test"),
        "val" | "valid" | "validation" => Some("val"),
        _ => None,
    }
}

/// Where there is no test split, what is called validation is one: data sets that were
/// published without the labels of their test images (ImageNet's subsets).
pub(super) fn val_is_test<T>(splits: &mut BTreeMap<String, T>) {
    if splits.contains_key("train")
        && !splits.contains_key("test")
        && let Some(val) = splits.remove("val")
    {
        splits.insert("test".to_owned(), val);
    }
}

fn images(folder: &Path) -> Result<Option<Manifest>> {
    let folders = image_folder::class_folders(folder)?;
    let mut splits = Splits::new();
    let mut classes = Vec::new();
    for name in &folders {
        let (Some(split), path) = (split_of(name), folder.join(name)) else { continue };
        let found = image_folder::class_folders(&path)?;
        // A class may be called `test`: a split holds folders, a class holds images.
        if found.is_empty() || image_folder::holds_images_directly(&path) {
            continue;
        }
        if split == "train" || !splits.contains_key("train") {
            classes = found;
        }
        if let Some(before) = splits.insert(split.to_owned(), vec![name.clone()]) {
            return Err(Error::failed(format_args!(
                "{}: the folders {} and {name} would both be the split `{split}`; rename one",
                folder.display(),
                before[0]
            )));
        }
    }
    val_is_test(&mut splits);
    if splits.is_empty() {
        let holding: Vec<_> = folders
            .iter()
            .filter(|f| image_folder::holds_images(&folder.join(f)))
            .collect();
        classes = match holding.is_empty() {
            false => folders,
            true if image_folder::holds_images_directly(folder) => vec![own_name(folder)],
            true => return Ok(None),
        };
        splits.insert(UNSPLIT.to_owned(), vec![".".to_owned()]);
    }
    Ok(Some(describe(folder, &own_name(folder), RawFormat::ImageFolder, classes, splits)))
}

/// A folder's own name, whatever path led to it.
fn own_name(folder: &Path) -> String {
    let whole: PathBuf = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    whole
        .file_name()
        .map_or_else(|| "images".to_owned(), |n| n.to_string_lossy().into_owned())
}
