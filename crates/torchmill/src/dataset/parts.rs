//! The files that a data set of archives or tables is divided into:
//! `train-000.tar` to `train-123.tar`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::detect::{
    Detected, SplitFiles, describe, split_in_name, split_named, val_is_test,
};
use super::options::{OpenOptions, SplitDirs};
use super::packed_names::readable;
use super::raw_format::RawFormat;
use super::source_folder::SourceFolder;
use super::{Manifest, UNSPLIT, walk};
use crate::{Error, Result};

/// How deep below a data set's folder its files may lie: `data/train/0000.parquet`.
const DEPTH: usize = 3;

/// Whether a file is a tar by its name, gzipped or not.
pub fn is_tar_name(path: &Path) -> bool {
    ends_with(path, &[".tar", ".tar.gz", ".tgz"])
}

/// Whether a file is a Parquet file by its name.
pub fn is_parquet_name(path: &Path) -> bool {
    ends_with(path, &[".parquet"])
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or("");
    let name = name.to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending) && name.len() > ending.len())
}

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it is.
    pub path: PathBuf,
    /// What messages call it.
    pub shown: PathBuf,
    /// The prefix of its images' sources: its name, or its path if two files have the
    /// same name.
    pub name: String,
    /// The split that its images belong to.
    pub split: String,
}

impl Part {
    /// Lists these files, with their splits by their names or by those of their folders.
    pub fn list(files: &[PathBuf], options: &OpenOptions) -> Result<Vec<Self>> {
        let names: Vec<String> = files
            .iter()
            .map(|file| readable(file.file_name().map_or(file.as_path(), Path::new)))
            .collect();
        let is_unique = names.iter().collect::<HashSet<_>>().len() == names.len();
        let mut parts = Vec::new();
        for (file, name) in files.iter().zip(names) {
            let split = match options.split_dirs {
                SplitDirs::None => UNSPLIT,
                _ => split_of_file(file).unwrap_or(UNSPLIT),
            };
            parts.push(Self {
                path: file.clone(),
                shown: file.clone(),
                name: if is_unique { name } else { readable(file) },
                split: split.to_owned(),
            });
        }
        check_splits(&parts)?;
        Ok(parts)
    }

    /// The data that came through a pipe, which messages call `location`.
    pub fn stream(location: &str) -> Self {
        Self {
            path: PathBuf::new(),
            shown: location.into(),
            name: "stream".to_owned(),
            split: UNSPLIT.to_owned(),
        }
    }

    /// The files of a manifest, whose folder is `folder`.
    pub fn of_manifest(folder: &SourceFolder, manifest: &Manifest) -> Result<Vec<Self>> {
        let mut parts = Vec::new();
        for (split, files) in &manifest.splits {
            for file in files {
                folder.check_inside(file)?;
                parts.push(Self {
                    path: folder.join(file),
                    shown: folder.shown_path(file),
                    name: file.clone(),
                    split: split.clone(),
                });
            }
        }
        Ok(parts)
    }
}

/// The split in the name of a tar or Parquet file, or in that of its folder.
pub fn split_of_file(file: &Path) -> Option<&'static str> {
    let name = readable(file.file_name().map_or(file, Path::new));
    let stem = name.split('.').next().unwrap_or(&name);
    let folder = file.parent().and_then(Path::file_name).map(Path::new).map(readable);
    split_in_name(stem).or_else(|| folder.and_then(|folder| split_named(&folder)))
}

/// Either all files have a split or none has.
fn check_splits(parts: &[Part]) -> Result<()> {
    let with = parts.iter().find(|part| part.split != UNSPLIT);
    let without = parts.iter().find(|part| part.split == UNSPLIT);
    match (with, without) {
        (Some(with), Some(without)) => Err(Error::failed(format_args!(
            "{} is of the split `{}` by its name, and {} is of none: name all files after \
             their splits (train, test, val), or read them with --split-dirs none",
            with.shown.display(),
            with.split,
            without.shown.display()
        ))),
        _ => Ok(()),
    }
}

/// Finds the files of a format, whose names `is_part` accepts, below a folder. Their
/// classes are found when the data set is opened.
pub(super) fn detect(
    folder: &SourceFolder,
    format: RawFormat,
    is_part: fn(&Path) -> bool,
    options: &OpenOptions,
) -> Result<Option<Detected>> {
    let splits =
        below(folder.path(), is_part, options).map_err(|e| e.within(folder.shown()))?;
    if splits.is_empty() {
        return Ok(None);
    }
    let manifest = describe(folder, folder.name(), format, Vec::new(), splits);
    Ok(Some(Detected { manifest, notes: Vec::new() }))
}

/// The files below `folder` whose names `is_part` accepts, as paths relative to it, by
/// split.
fn below(
    folder: &Path,
    is_part: fn(&Path) -> bool,
    options: &OpenOptions,
) -> Result<SplitFiles> {
    let entries = WalkDir::new(folder)
        .min_depth(1)
        .max_depth(DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !walk::is_hidden(entry.file_name()))
        .flatten();
    let mut files = Vec::new();
    for entry in entries {
        let relative = entry.path().strip_prefix(folder).ok().and_then(Path::to_str);
        if let Some(relative) = relative
            && entry.path().is_file()
            && is_part(entry.path())
        {
            files.push(PathBuf::from(relative));
        }
    }
    let mut splits = SplitFiles::new();
    for part in Part::list(&files, options)? {
        let files = splits.entry(part.split.clone()).or_default();
        files.push(readable(&part.path));
    }
    val_is_test(&mut splits);
    Ok(splits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(files: &[&str]) -> Result<Vec<String>> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let parts = Part::list(&files, &OpenOptions::default())?;
        Ok(parts.into_iter().map(|part| part.split).collect())
    }

    #[test]
    fn splits_are_told_by_the_names_of_files_and_folders() {
        let files = [
            "data/train-00000-of-00002.parquet",
            "imagenet-val-000017.tar",
            "default/test/0000.parquet",
        ];
        assert_eq!(splits(&files).unwrap(), ["train", "val", "test"]);
        assert_eq!(splits(&["a.tar", "b.tar.gz"]).unwrap(), [UNSPLIT, UNSPLIT]);
        let error = splits(&["train.tar", "more.tar"]).unwrap_err().to_string();
        assert!(error.contains("more.tar is of none"), "{error}");
    }

    #[test]
    fn equal_names_are_told_apart_by_their_folders() {
        let files = ["a/0.tar", "b/0.tar"].map(PathBuf::from);
        let parts = Part::list(&files, &OpenOptions::default()).unwrap();
        assert_eq!(parts[1].name, "b/0.tar");
    }

    #[test]
    fn endings_tell_archives_and_tables() {
        for name in ["a.tar", "A.TAR", "a.tar.gz", "a.tgz"] {
            assert!(is_tar_name(Path::new(name)), "{name}");
        }
        assert!(!is_tar_name(Path::new(".tar")) && !is_tar_name(Path::new("a.zip")));
        assert!(is_parquet_name(Path::new("x/train.parquet")));
    }
}
