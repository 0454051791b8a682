//! Finds IDX files by their names, wherever archives, torchvision and Kaggle put them.

use std::collections::BTreeMap;
use std::fs;

use super::super::detect::{Detected, SplitFiles, describe};
use super::super::options::Extensions;
use super::super::source_folder::SourceFolder;
use super::super::survey::{Survey, is_dir, listed};
use super::super::{RawFormat, walk};
use super::largest_label;
use crate::{Context, Error, Result};

/// Where IDX files are looked for: in the folder itself, and where torchvision puts them
/// below its root.
const SUBFOLDERS: [&str; 6] =
    ["", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw"];

/// The endings of the names of files of images and of labels.
const IMAGES: [&str; 2] = ["-images-idx3-ubyte", "-images.idx3-ubyte"];
const LABELS: [&str; 2] = ["-labels-idx1-ubyte", "-labels.idx1-ubyte"];

/// Describes the IDX files in `folder`. They have no class names; MNIST and its relatives
/// number the classes, so a class is named by its number, up to the largest label.
pub(in super::super) fn detect(folder: &SourceFolder) -> Result<Option<Detected>> {
    for sub in SUBFOLDERS {
        let at = folder.below(sub);
        if !at.path().is_dir() {
            continue;
        }
        let splits = splits_in(folder, sub)?;
        if splits.is_empty() {
            continue;
        }
        let mut largest = 0;
        for files in splits.values() {
            largest = largest.max(largest_label(folder, &files[1])?);
        }
        let classes = (0..=largest).map(|digit| digit.to_string()).collect();
        let manifest = describe(folder, folder.name(), RawFormat::Idx, classes, splits);
        return Ok(Some(Detected { manifest, notes: left_out(&at)? }));
    }
    Ok(None)
}

/// Each split's two files in the folder `sub` of `folder`, relative to `folder`.
fn splits_in(folder: &SourceFolder, sub: &str) -> Result<SplitFiles> {
    let at = folder.below(sub);
    let (images, labels) = files_in(&at)?;
    let below = |path: &str| {
        if sub.is_empty() { path.to_owned() } else { format!("{sub}/{path}") }
    };
    let mut splits = SplitFiles::new();
    for (stem, file) in &images {
        let Some(label_file) = labels.get(stem) else {
            return Err(Error::failed(format_args!(
                "{}: {stem}{} is not there",
                at.shown_path(file).display(),
                LABELS[0]
            )));
        };
        let last = stem.rsplit('-').next().unwrap_or(stem);
        let split = if last == "t10k" { "test" } else { last };
        let files = vec![below(file), below(label_file)];
        if let Some(before) = splits.insert(split.to_owned(), files) {
            return Err(Error::failed(format_args!(
                "{}: {} and {file} would both be the split `{split}`: move one data set \
                 to a folder of its own",
                at.shown(),
                before[0]
            )));
        }
    }
    Ok(splits)
}

/// The files of images and of labels in a folder, by the beginnings of their names
/// (`train`, `emnist-letters-test`). If several begin alike, a plain file is preferred to
/// a gzipped one, and that to a file in a folder of the same name, as in Kaggle's copy of
/// MNIST: `train-images-idx3-ubyte/train-images-idx3-ubyte`.
fn files_in(
    at: &SourceFolder,
) -> Result<(BTreeMap<String, String>, BTreeMap<String, String>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(at.path()).doing("read the folder", at.shown_path(""))? {
        let entry = entry.doing("read the folder", at.shown_path(""))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !walk::is_hidden(name.as_ref()) {
            let is_dir = is_dir(&entry);
            found.push((is_dir, name.ends_with(".gz"), name));
        }
    }
    found.sort_unstable();
    let (mut images, mut labels) = (BTreeMap::new(), BTreeMap::new());
    for (is_dir, _, name) in found {
        let path = if is_dir { format!("{name}/{name}") } else { name.clone() };
        if !at.join(&path).is_file() {
            continue;
        }
        if let Some(stem) = stem(&name, IMAGES) {
            images.entry(stem).or_insert(path);
        } else if let Some(stem) = stem(&name, LABELS) {
            labels.entry(stem).or_insert(path);
        }
    }
    Ok((images, labels))
}

fn stem(name: &str, endings: [&str; 2]) -> Option<String> {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    endings.iter().find_map(|ending| plain.strip_suffix(ending)).map(str::to_owned)
}

/// Notes which folders of images next to the IDX files were left out.
fn left_out(at: &SourceFolder) -> Result<Vec<String>> {
    let survey = Survey::of(at, &Extensions::default())?;
    let folders: Vec<&str> = survey
        .folders
        .iter()
        .filter(|folder| folder.holds_images())
        .map(|folder| folder.name.as_str())
        .collect();
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "{0} holds IDX files, which are read, and folders of image files ({1}), which \
         are left out: `prep {0}/FOLDER` reads one of those",
        at.shown(),
        listed(&folders)
    )])
}
