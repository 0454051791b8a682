//! Which of a repository's files are the data set, and to which splits they belong.

use std::collections::BTreeSet;
use std::path::Path;

use torchmill::dataset::{
    UNSPLIT, is_parquet_name, is_tar_name, split_named, split_of_file,
};
use torchmill::progress;

use super::answer::Entry;
use super::error::HubError;
use super::name::HubName;
use crate::listing::FileKind;

/// What the hub's Parquet branch calls the folder of a split of which it made only the
/// first 5 GB.
const PARTIAL: &str = "partial-";

/// The files of a data set.
#[derive(Debug)]
pub struct Selection {
    /// What they are.
    pub kind: FileKind,
    /// At least one.
    pub files: Vec<SelectedFile>,
    /// What was left out, a line each.
    pub notes: Vec<String>,
    /// The note that the files hold only a part of the data set.
    pub partial: Option<String>,
}

/// A file of a data set.
#[derive(Debug)]
pub struct SelectedFile {
    /// The file in the repository.
    pub entry: Entry,
    /// Its path in the data set's folder.
    pub path: String,
    /// `train`, `test`, `val` or [`UNSPLIT`].
    pub split: &'static str,
}

/// The Parquet files that `name` means, or else the tars; `None` if there are none.
pub fn select(
    entries: Vec<Entry>,
    name: &HubName,
) -> Result<Option<Selection>, HubError> {
    let is_visible = |entry: &&Entry| !entry.path.split('/').any(|p| p.starts_with('.'));
    let is_below = |entry: &&Entry| {
        let below = entry.path.strip_prefix(&name.folder);
        name.folder.is_empty() || below.is_some_and(|rest| rest.starts_with('/'))
    };
    let files: Vec<&Entry> = entries.iter().filter(is_visible).filter(is_below).collect();
    for (kind, is_kind) in [
        (FileKind::Parquet, is_parquet_name as fn(&Path) -> bool),
        (FileKind::WebDataset, is_tar_name),
    ] {
        let files = files.iter().filter(|entry| is_kind(Path::new(&entry.path)));
        let files: Vec<Entry> = files.map(|entry| (*entry).clone()).collect();
        if !files.is_empty() {
            return of_kind(kind, files, name).map(Some);
        }
    }
    Ok(None)
}

fn of_kind(
    kind: FileKind,
    entries: Vec<Entry>,
    name: &HubName,
) -> Result<Selection, HubError> {
    let base = only_subset(&entries, name)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path.strip_prefix(&base).unwrap_or(&entry.path);
        let path = path.trim_start_matches('/').to_owned();
        let split = split_of(&entry.path).unwrap_or(UNSPLIT);
        files.push(SelectedFile { entry, path, split });
    }
    let mut notes = Vec::new();
    if files.iter().any(|file| file.split != UNSPLIT) {
        let (with, without): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.split != UNSPLIT);
        notes.extend(left_out(&without));
        files = with;
    }
    let is_partial =
        |file: &SelectedFile| last(folder_of(&file.entry.path)).starts_with(PARTIAL);
    let partial = files.iter().any(is_partial).then(|| {
        format!(
            "{name} is not complete: the hub has converted only its first 5 GB to Parquet"
        )
    });
    Ok(Selection { kind, files, notes, partial })
}

/// Files of other splits than train, test and validation are left out.
fn left_out(files: &[SelectedFile]) -> Option<String> {
    let first = files.first()?;
    let count = progress::counted(files.len() as u64, "file", "files");
    let sizes = files.iter().map(|file| file.entry.size);
    let size = progress::bytes(sizes.fold(0, u64::saturating_add));
    Some(format!(
        "left out {count} ({size}) of other splits than train, test and validation, such \
         as {}",
        first.entry.path
    ))
}

/// The folder of the only data set that these files are.
fn only_subset(entries: &[Entry], name: &HubName) -> Result<String, HubError> {
    // A folder that holds one named after a split holds folders of splits only.
    let is_split = |folder: &str| split_of_folder(last(folder)).is_some();
    let folders = entries.iter().map(|entry| folder_of(&entry.path));
    let of_splits: BTreeSet<&str> =
        folders.clone().filter(|folder| is_split(folder)).map(folder_of).collect();
    let is_of_split = |folder: &str| {
        !folder.is_empty()
            && folder != name.folder
            && of_splits.contains(folder_of(folder))
    };
    let subset = |folder| if is_of_split(folder) { folder_of(folder) } else { folder };
    let subsets: BTreeSet<&str> = folders.map(subset).collect();
    let mut subsets = subsets.into_iter();
    match (subsets.next(), subsets.len()) {
        (Some(only), 0) => Ok(only.to_owned()),
        (first, _) => {
            let all = first.into_iter().chain(subsets);
            let below = |folder: &str| {
                let below = folder.strip_prefix(&name.folder).unwrap_or(folder);
                below.trim_start_matches('/').to_owned()
            };
            let subsets = all.map(below).filter(|subset| !subset.is_empty()).collect();
            Err(HubError::Subsets { name: name.to_string(), subsets })
        }
    }
}

fn split_of(path: &str) -> Option<&'static str> {
    split_of_folder(last(folder_of(path))).or_else(|| split_of_file(Path::new(path)))
}

fn split_of_folder(name: &str) -> Option<&'static str> {
    split_named(name.strip_prefix(PARTIAL).unwrap_or(name))
}

/// The folder that a file or a folder is in; `""` is the repository.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str], name: &str) -> Result<Option<Selection>, HubError> {
        let entries = paths.iter().map(|path| Entry::file(path)).collect();
        select(entries, &name.parse().unwrap())
    }

    /// Each file as `SPLIT PATH`.
    fn files(paths: &[&str], name: &str) -> Vec<String> {
        let selection = chosen(paths, name).unwrap().unwrap();
        let files = selection.files.iter();
        files.map(|file| format!("{} {}", file.split, file.path)).collect()
    }

    #[test]
    fn splits_are_told_by_files_and_folders() {
        let paths = [
            "README.md",
            ".hidden/train.parquet",
            "data/test-00000-of-00001.parquet",
            "data/train-00000-of-00001.parquet",
            "data/unsupervised-00000-of-00001.parquet",
        ];
        let expected =
            ["test test-00000-of-00001.parquet", "train train-00000-of-00001.parquet"];
        assert_eq!(files(&paths, "a/b"), expected);
        let notes = chosen(&paths, "a/b").unwrap().unwrap().notes;
        assert!(notes[0].contains("data/unsupervised-00000-of-00001.parquet"));
        let export = ["cat/extra/0000.parquet", "cat/partial-train/0000.parquet"];
        assert_eq!(files(&export, "a/b"), ["train partial-train/0000.parquet"]);
        assert_eq!(files(&export, "a/b/cat"), ["train partial-train/0000.parquet"]);
        assert!(chosen(&export, "a/b").unwrap().unwrap().partial.is_some());
        assert_eq!(files(&["x/0.tar", "x/1.tar"], "a/b"), ["all 0.tar", "all 1.tar"]);
        let only_one = ["train/0.tar", "train/1.tar"];
        assert_eq!(files(&only_one, "a/b"), ["train train/0.tar", "train train/1.tar"]);
        assert_eq!(files(&only_one, "a/b/train"), ["train 0.tar", "train 1.tar"]);
    }

    #[test]
    fn only_a_split_that_is_used_makes_the_data_set_partial() {
        let partial = |paths: &[&str], name: &str| {
            chosen(paths, name).unwrap().unwrap().partial.is_some()
        };
        let export = ["default/partial-train/0.parquet", "default/test/0.parquet"];
        assert!(partial(&export, "a/b"));
        assert!(partial(&export, "a/b@refs/convert/parquet/default/partial-train"));
        assert!(!partial(&export, "a/b@refs/convert/parquet/default/test"));
        let extra = ["default/partial-extra/0.parquet", "default/train/0.parquet"];
        assert!(!partial(&extra, "a/b"));
    }

    #[test]
    fn sizes_that_cannot_be_added_are_no_panic() {
        let mut entries: Vec<Entry> =
            ["extra/0.parquet", "extra/1.parquet", "train/0.parquet"]
                .map(Entry::file)
                .into();
        entries.iter_mut().for_each(|entry| entry.size = u64::MAX);
        let selection = select(entries, &"a/b".parse().unwrap()).unwrap().unwrap();
        assert!(
            selection.notes[0].starts_with("left out 2 files (16"),
            "{:?}",
            selection.notes
        );
    }

    #[test]
    fn parquet_files_come_before_tars() {
        assert_eq!(files(&["0.tar", "x.parquet"], "a/b"), ["all x.parquet"]);
        assert!(chosen(&["a.csv"], "a/b").unwrap().is_none());
        assert!(chosen(&["x/a.tar"], "a/b/y").unwrap().is_none());
    }

    #[test]
    fn of_several_data_sets_one_must_be_chosen() {
        let paths = [
            "cropped/train-0.parquet",
            "cropped/extra-0.parquet",
            "full/train/0.parquet",
            "full/extra/0.parquet",
        ];
        let error = chosen(&paths, "a/b").unwrap_err();
        assert!(matches!(error, HubError::Subsets { .. }));
        let error = error.to_string();
        assert!(error.contains("choose one, hf:a/b/cropped, hf:a/b/full"), "{error}");
        assert_eq!(files(&paths, "a/b/full"), ["train train/0.parquet"]);
        assert_eq!(files(&paths, "a/b/cropped"), ["train train-0.parquet"]);
        // A folder whose name only begins so is another.
        assert!(chosen(&["full2/train.parquet"], "a/b/full").unwrap().is_none());
    }
}
