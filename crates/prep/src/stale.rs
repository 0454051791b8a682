//! Removes files of earlier runs that this run does not replace. train would take them
//! for a part of the data set.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

use torchmill::shard::Shard;
use torchmill::{Context, Error, Result, progress};

use crate::file_names::{self, is_description, split_of};
use crate::format::Format;
use crate::job::Job;
use crate::sidecar::Sidecar;

/// This run's files in the folder.
pub struct Kept<'a> {
    /// The splits that it writes.
    pub splits: BTreeSet<&'a str>,
    /// Their files, including those of other parts.
    pub files: BTreeSet<String>,
    /// Whether it writes all splits: the user did not choose among them.
    pub all_splits: bool,
}

/// Removes and reports files of earlier runs in the same format that this run does not
/// have: those of its splits and, if it writes all splits, those of other splits.
pub fn remove(folder: &Path, kept: &Kept, format: &dyn Format) -> Result<()> {
    // A part without files does not create the folder.
    if !folder.is_dir() {
        return Ok(());
    }
    let names = file_names::in_folder(folder)?;
    let described = described(folder, &names, format);
    let mut removed: BTreeMap<&str, u64> = BTreeMap::new();
    for name in &names {
        let described = described.get(name.as_str());
        let Some(found) = Found::of(name, described, format) else { continue };
        let is_stale =
            kept.splits.contains(found.split) || (kept.all_splits && found.is_ours);
        if !is_stale || kept.files.contains(name) {
            continue;
        }
        let path = folder.join(name);
        match fs::remove_file(&path) {
            // Another part's run has already removed it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            result => result.doing("remove", &path)?,
        }
        *removed.entry(found.split).or_default() += 1;
    }
    note_removed(&removed, kept, folder);
    Ok(())
}

/// A file in the folder that prep may have written.
struct Found<'a> {
    /// Its split.
    split: &'a str,
    /// Whether prep certainly wrote it.
    is_ours: bool,
}

impl<'a> Found<'a> {
    /// The file of this name, whose split is `described` if a description names it.
    /// Shards are recognised by their names, files of other formats by a description.
    fn of(
        name: &'a str,
        described: Option<&'a String>,
        format: &dyn Format,
    ) -> Option<Self> {
        if let Some(split) = split_of(name, format) {
            let is_ours = format.describes_itself() || described.is_some();
            return Some(Self { split, is_ours });
        }
        let split = described?.as_str();
        let is_ours = is_description(name, split) && !format.describes_itself();
        is_ours.then_some(Self { split, is_ours })
    }
}

fn note_removed(removed: &BTreeMap<&str, u64>, kept: &Kept, folder: &Path) {
    let folder = folder.display();
    for (split, n) in removed {
        let files = if *n == 1 { "file" } else { "files" };
        let why =
            if kept.splits.contains(split) { "" } else { ": this one has no such split" };
        progress::note(format_args!(
            "{split}: removed {n} {files} of an earlier run from {folder}{why}"
        ));
    }
}

/// Fails if shards of a split that is not written now contain images that are written
/// now: an earlier run divided the images differently, and train would test on images
/// that it was trained on.
pub fn refuse_shared_images(
    folder: &Path,
    jobs: &[Job],
    shards: &dyn Format,
) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for name in file_names::in_folder(folder)? {
        let Some(split) = split_of(&name, shards) else { continue };
        if jobs.iter().any(|job| job.split == split) {
            continue;
        }
        // train cannot open such a shard either.
        let Ok(shard) = Shard::open(folder.join(&name)) else { continue };
        let mut there = HashSet::with_capacity(shard.len());
        for i in 0..shard.len() {
            there.insert(hash(&shard.source(i)?));
        }
        for job in jobs {
            let mut sources = job.samples.iter().map(|&sample| job.set.source(sample));
            if let Some(shared) = sources.find(|source| there.contains(&hash(source))) {
                return Err(Error::failed(format_args!(
                    "{shared} of the split `{}` is also in {}, of an earlier run that \
                     wrote other splits: write all splits together, without \
                     --split, or into another folder",
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
    let mut names = file_names::in_folder(folder)?;
    names.retain(|name| is_description(name, split) && name.contains("-part-"));
    Ok(names)
}

/// A text's hash in 8 bytes, because a million of them may be kept.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The files of this format that prep's descriptions among `names` list, including the
/// descriptions themselves, with the split of each.
fn described(
    folder: &Path,
    names: &[String],
    format: &dyn Format,
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
