//! What earlier runs left in the folder that this run's files do not replace: train would
//! take it for a part of the data set.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

use torchmill::shard::Shard;
use torchmill::{Context, Error, Result, progress};

use crate::args::Format;
use crate::bake::Job;
use crate::sidecar::Sidecar;

/// What of this run's is in the folder.
pub struct Kept<'a> {
    /// The splits that it writes.
    pub splits: BTreeSet<&'a str>,
    /// Their files, other parts' included.
    pub files: BTreeSet<String>,
    /// Whether there are no other splits: the user did not choose among them.
    pub all_splits: bool,
}

/// Removes files of earlier runs in the same format that this one does not have, and says
/// so: those of its splits, and where it has all splits there are, those of other splits.
pub fn remove(folder: &Path, kept: &Kept, format: Format) -> Result<()> {
    // A part without files makes none.
    if !folder.is_dir() {
        return Ok(());
    }
    let names = names(folder)?;
    let described = described(folder, &names, format);
    let mut removed: BTreeMap<&str, u64> = BTreeMap::new();
    for name in &names {
        // A split's shards are told by their names, other files of another split by their
        // description.
        let (split, is_ours) =
            match (split_of(name, format), described.get(name.as_str())) {
                (Some(split), about) => {
                    (split, format == Format::Shard || about.is_some())
                }
                (None, Some(split))
                    if is_sidecar(name, split) && format != Format::Shard =>
                {
                    (split.as_str(), true)
                }
                _ => continue,
            };
        let stale = kept.splits.contains(split) || (kept.all_splits && is_ours);
        if !stale || kept.files.contains(name) {
            continue;
        }
        let path = folder.join(name);
        match fs::remove_file(&path) {
            // Another part's run was quicker.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            result => result.doing("remove", &path)?,
        }
        *removed.entry(split).or_default() += 1;
    }
    for (split, n) in removed {
        let files = if n == 1 { "file" } else { "files" };
        let why =
            if kept.splits.contains(split) { "" } else { ": this one has no such split" };
        let folder = folder.display();
        progress::note(format_args!(
            "{split}: removed {n} {files} of an earlier run from {folder}{why}"
        ));
    }
    Ok(())
}

/// Fails where the folder has shards of a split that is not written now, and among their
/// images some that are: an earlier run divided the images in another way, and train
/// would test with what it has been trained on.
pub fn refuse_shared_images(folder: &Path, jobs: &[Job]) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for name in names(folder)? {
        let Some(split) = split_of(&name, Format::Shard) else { continue };
        if jobs.iter().any(|job| job.split == split) {
            continue;
        }
        // What cannot be opened cannot be trained with.
        let Ok(shard) = Shard::open(folder.join(&name)) else { continue };
        let count = shard.header().count as usize;
        let there = (0..count)
            .map(|i| Ok(hash(&shard.source(i)?)))
            .collect::<Result<HashSet<_>>>()?;
        for job in jobs {
            let mut sources = job.samples.iter().map(|&sample| job.set.source(sample));
            if let Some(shared) = sources.find(|source| there.contains(&hash(source))) {
                return Err(Error::failed(format_args!(
                    "{shared} of the split `{}` is in {}, too, of an earlier run that divided the images in \
                     another way: write all splits together, without --split, or into another folder",
                    job.split,
                    folder.join(&name).display()
                )));
            }
        }
    }
    Ok(())
}

/// The names of the descriptions of a split's parts.
pub fn part_descriptions(folder: &Path, split: &str) -> Result<Vec<String>> {
    let mut names = names(folder)?;
    names.retain(|name| is_sidecar(name, split) && name.contains("-part-"));
    Ok(names)
}

/// A text in 8 bytes: a million of them are to be kept.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).doing("read the folder", folder)? {
        names.extend(
            entry.doing("read the folder", folder)?.file_name().into_string().ok(),
        );
    }
    names.sort_unstable();
    Ok(names)
}

/// The files of this format that our descriptions among `names` name, themselves
/// included, and the split of each.
fn described(
    folder: &Path,
    names: &[String],
    format: Format,
) -> BTreeMap<String, String> {
    let mut described = BTreeMap::new();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        let of_format = |about: &Sidecar| {
            about.files.keys().all(|file| split_of(file, format).is_some())
        };
        let Some(about) = Sidecar::read(&folder.join(name)).filter(of_format) else {
            continue;
        };
        let files = about.files.into_keys().chain([name.clone()]);
        described.extend(files.map(|file| (file, about.split.clone())));
    }
    described
}

/// Whether `name` is what prep calls a description of this split: `train.json`,
/// `train-part-1-of-2.json`.
fn is_sidecar(name: &str, split: &str) -> bool {
    let rest = name.strip_suffix(".json").and_then(|stem| stem.strip_prefix(split));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-part-"))
}

/// The split of one of prep's files by its name: `train` of `train-00000-of-00005.shard`.
fn split_of(name: &str, format: Format) -> Option<&str> {
    let is_number =
        |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let stem = name.strip_suffix(format.extension())?.strip_suffix('.')?;
    let stem = match format {
        Format::Npy => {
            stem.strip_suffix("-images").or_else(|| stem.strip_suffix("-labels"))?
        }
        _ => stem,
    };
    let (rest, total) = stem.rsplit_once("-of-")?;
    let (split, index) = rest.rsplit_once('-')?;
    (is_number(index) && is_number(total) && !split.is_empty()).then_some(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_prep_writes_are_ever_removed() {
        assert_eq!(split_of("train-00000-of-00005.shard", Format::Shard), Some("train"));
        assert_eq!(
            split_of("train-00000-of-00005-labels.npy", Format::Npy),
            Some("train")
        );
        for other in [
            "train.shard",
            "train-00000-of-00005.npy",
            "-00000-of-00005.shard",
            "train-a-of-b.shard",
            "",
        ] {
            assert_eq!(split_of(other, Format::Shard), None, "{other}");
        }
        assert!(
            is_sidecar("train.json", "train")
                && is_sidecar("train-part-1-of-2.json", "train")
        );
        assert!(
            !is_sidecar("training.json", "train") && !is_sidecar("test.json", "train")
        );
    }
}
