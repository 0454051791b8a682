//! Finds what a folder without a dataset.toml holds.

use std::collections::BTreeMap;

use super::options::OpenOptions;
use super::raw_format::RawFormat;
use super::source_folder::SourceFolder;
use super::{Manifest, survey};
use crate::{Context, Error, Result};

/// A data set that was found in a folder.
#[derive(Debug, Clone)]
pub struct Detected {
    /// Its description; paths are relative to the folder.
    pub manifest: Manifest,
    /// Notes for the user, one line each, such as what was left out.
    pub notes: Vec<String>,
}

/// The files of each split, relative to the data set's folder.
pub(super) type SplitFiles = BTreeMap<String, Vec<String>>;

/// Describes the data set in `folder`: CIFAR's binary or Python version or IDX files (in
/// the folder itself or where their archives and torchvision put them), or image files in
/// a folder per class.
///
/// If none of these is found, the error says what was looked for and what is there.
pub fn detect(folder: &SourceFolder, options: &OpenOptions) -> Result<Detected> {
    let about = std::fs::metadata(folder.path()).doing("read", folder.shown_path(""))?;
    if !about.is_dir() {
        return Err(Error::failed(format_args!(
            "{} is a file; prep reads folders, and files named *.tar, \
             *.parquet, *.csv, *.tsv or *.jsonl",
            folder.shown()
        )));
    }
    // Reading the folder once tells an unreadable one from an empty one.
    std::fs::read_dir(folder.path()).doing("read the folder", folder.shown_path(""))?;
    for &format in RawFormat::ALL {
        if let Some(detected) = format.detect(folder, options)? {
            detected.manifest.check().map_err(|e| e.within(folder.shown()))?;
            return Ok(detected);
        }
    }
    Err(Error::failed(format_args!(
        "{} holds no data set: looked for CIFAR's batches, IDX files \
         (*-images-idx3-ubyte), and images in a folder per class ({}); {}",
        folder.shown(),
        options.extensions.listed(),
        survey::contents(folder)?
    )))
}

/// The description of a data set without a source or licence.
pub(super) fn describe(
    folder: &SourceFolder,
    name: &str,
    format: RawFormat,
    classes: Vec<String>,
    splits: SplitFiles,
) -> Manifest {
    Manifest {
        name: name.to_owned(),
        format,
        classes,
        description: String::new(),
        source: folder.shown().to_string(),
        verified: false,
        licence: String::new(),
        splits,
        checksums: BTreeMap::new(),
    }
}

/// The first of `subfolders` (each `""` or a folder's name) that holds the file `mark`,
/// as the beginning of a path.
pub(super) fn holding(
    folder: &SourceFolder,
    subfolders: &[&str],
    mark: &str,
) -> Option<String> {
    let found = subfolders.iter().find(|sub| folder.join(sub).join(mark).is_file())?;
    Some(if found.is_empty() { String::new() } else { format!("{found}/") })
}

/// The split that this name usually means: `train`, `Training_set`, `valid`.
pub fn split_named(name: &str) -> Option<&'static str> {
    let letters = |c: &char| c.is_alphanumeric();
    let plain: String = name.to_lowercase().chars().filter(letters).collect();
    let bare = ["set", "data", "images", "imgs", "split", "folder"]
        .iter()
        .find_map(|suffix| plain.strip_suffix(suffix))
        .unwrap_or(&plain);
    split_word(bare)
}

/// The split that is a word of this name: `seg_train`, `cats-test`. Use it only for
/// folders that hold folders: a class may be called `train_station`.
pub(super) fn split_in_name(name: &str) -> Option<&'static str> {
    if let Some(split) = split_named(name) {
        return Some(split);
    }
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let mut splits = words.filter_map(split_word);
    let first = splits.next()?;
    splits.all(|other| other == first).then_some(first)
}

fn split_word(word: &str) -> Option<&'static str> {
    match word {
        "train" | "training" => Some("train"),
        "test" | "testing" => Some("test"),
        "val" | "valid" | "validation" => Some("val"),
        _ => None,
    }
}

/// Uses the validation split as the test split if there is none: some data sets are
/// published without the labels of their test images (ImageNet's subsets).
pub fn val_is_test<T>(splits: &mut BTreeMap<String, T>) {
    if splits.contains_key("train")
        && !splits.contains_key("test")
        && let Some(val) = splits.remove("val")
    {
        splits.insert("test".to_owned(), val);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_told_by_their_names() {
        for (name, split) in [
            ("train", Some("train")),
            ("Train", Some("train")),
            ("training_set", Some("train")),
            ("TestSet", Some("test")),
            ("test-images", Some("test")),
            ("validation", Some("val")),
            ("trainee", None),
            ("holdout", None),
            ("set", None),
            ("train_station", None),
        ] {
            assert_eq!(split_named(name), split, "{name}");
        }
        assert_eq!(split_in_name("seg_train"), Some("train"));
        assert_eq!(split_in_name("train_and_test"), None);
        assert_eq!(split_in_name("contest"), None);
    }
}
