//! What a folder holds: one of the catalogue's data sets, or whatever else `prep` can
//! read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use torchmill::dataset::{Dataset, Manifest, RawFormat, Sample, UNSPLIT, detect};
use torchmill::{Context, Error, Result, progress};

use crate::catalogue::Entry;

/// What was found in a folder.
#[derive(Debug)]
pub struct Layout {
    /// Its description; the paths are relative to the folder.
    pub manifest: Manifest,
    /// Its images, listed and checked as `prep` would.
    pub data: Dataset,
    /// Further files that belong to it, relative to the folder: the publisher's notes and
    /// lists.
    pub extras: Vec<String>,
}

/// What publishers put beside the images, and `fetch-data` beside its sample.
const EXTRAS: [&str; 6] = [
    "batches.meta.txt",
    "fine_label_names.txt",
    "coarse_label_names.txt",
    "readme.html",
    "README.txt",
    "ATTRIBUTION",
];

/// Finds out what `folder` holds, and opens it to see that it is whole: `entry`'s files
/// if they are there, else what [`detect`] finds. With `published` the counts of images
/// must be those of `entry`.
pub fn find(folder: &Path, entry: Option<&Entry>, published: bool) -> Result<Layout> {
    fs::read_dir(folder).doing("read the folder", folder)?;
    let manifest = match entry.and_then(|entry| Some((entry, base_of(folder, entry)?))) {
        Some((entry, base)) => as_listed(folder, &base, entry)?,
        None => {
            let base = unwrapped(folder);
            let mut manifest = detect::manifest(&folder.join(&base))?;
            manifest
                .splits
                .values_mut()
                .flatten()
                .for_each(|file| *file = join(&base, file));
            // Images of other classes are another data set, whatever it is to be called.
            let same = entry.filter(|e| manifest.classes.iter().eq(e.classes));
            manifest.licence = same.map(|e| e.licence.to_owned()).unwrap_or_default();
            if let (Some(entry), None) = (entry, same) {
                progress::note(format_args!(
                    "{name}: this is not laid out as it is published, and has other classes: taken as a data set of your \
                     own under that name, without the published licence",
                    name = entry.name
                ));
            }
            manifest
        }
    };
    let data = Dataset::open_as(folder, &manifest)?;
    if let (Some(entry), true) = (entry, published) {
        for split in entry.splits {
            let found = data.splits.get(split.name).map_or(0, Vec::len) as u64;
            if found != split.images {
                return Err(Error::failed(format_args!(
                    "the {} split in {} has {found} images where {} are published",
                    split.name,
                    folder.display(),
                    split.images
                )));
            }
        }
    }
    // Beside the listed files, and beside the folders of images.
    let listed = manifest.splits.values().flatten();
    let folders: BTreeSet<&str> = listed
        .map(|file| file.rsplit_once('/').map_or("", |(folder, _)| folder))
        .collect();
    let extras = folders.iter().flat_map(|at| EXTRAS.iter().map(|file| join(at, file)));
    let extras = extras.filter(|file| folder.join(file).is_file()).collect();
    Ok(Layout { manifest, data, extras })
}

impl Layout {
    /// What it holds, for the user: `50,000 train and 10,000 test images in 10 classes`.
    pub fn summary(&self) -> String {
        // Train comes first, as people have it.
        let mut splits: Vec<_> = self.data.splits.iter().collect();
        splits.sort_by_key(|(name, _)| *name != "train");
        let count = |(name, images): &(&String, &Vec<Sample>)| {
            let number = progress::count(images.len() as u64);
            if *name == UNSPLIT { number } else { format!("{number} {name}") }
        };
        let counts: Vec<_> = splits.iter().map(count).collect();
        format!("{} images in {} classes", counts.join(" and "), self.data.classes.len())
    }

    /// All files that the data set needs, relative to its folder.
    pub fn files(&self) -> Vec<String> {
        let mut files = self.extras.clone();
        if self.manifest.kind == RawFormat::ImageFolder {
            files.extend(
                self.data
                    .splits
                    .values()
                    .flatten()
                    .map(|&sample| self.data.source(sample)),
            );
        } else {
            files.extend(self.manifest.splits.values().flatten().cloned());
        }
        files
    }
}

/// The folder, relative to `folder`, that holds all of `entry`'s files: itself, or where
/// archives (`cifar-10-batches-bin`) and torchvision (`MNIST/raw`) put them.
fn base_of(folder: &Path, entry: &Entry) -> Option<String> {
    let mut level = vec![String::new()];
    for _ in 0..3 {
        let holds = |base: &&String| {
            let mut files = entry.splits.iter().flat_map(|s| s.files);
            files.all(|file| spelling(folder, base, file).is_some())
        };
        let mut found = level.iter().filter(holds);
        if let Some(base) = found.next() {
            // Of two that look the same it would be chance which one is taken.
            return found.next().is_none().then(|| base.clone());
        }
        let below = level.iter().flat_map(|base| {
            folders_in(&folder.join(base)).into_iter().map(|f| join(base, &f))
        });
        level = below.take(1000).collect();
    }
    None
}

/// Archives often hold one folder that holds everything: that one, relative to `folder`.
/// A folder that is called as a split stays one.
fn unwrapped(folder: &Path) -> String {
    let mut base = String::new();
    for _ in 0..4 {
        match &folders_in(&folder.join(&base))[..] {
            [only]
                if !["train", "test", "val"].contains(&only.as_str())
                    && holds_folders(folder, &base, only) =>
            {
                base = join(&base, only);
            }
            _ => break,
        }
    }
    base
}

fn holds_folders(folder: &Path, base: &str, name: &str) -> bool {
    !folders_in(&folder.join(join(base, name))).is_empty()
}

fn folders_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|e| e.path().is_dir())
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names
}

/// `name` below `base`, where either may be the folder itself.
fn join(base: &str, name: &str) -> String {
    match (base, name) {
        ("", name) => name.to_owned(),
        (base, ".") => base.to_owned(),
        (base, name) => format!("{base}/{name}"),
    }
}

/// How a listed file is called here: IDX files are used gzipped or not.
fn spelling(folder: &Path, base: &str, file: &str) -> Option<String> {
    let plain = file.strip_suffix(".gz").unwrap_or(file);
    [file, plain]
        .iter()
        .map(|name| join(base, name))
        .find(|path| folder.join(path).exists())
}

fn as_listed(folder: &Path, base: &str, entry: &Entry) -> Result<Manifest> {
    let mut splits = BTreeMap::new();
    for split in entry.splits {
        let files = split.files.iter().filter_map(|file| spelling(folder, base, file));
        splits.insert(split.name.to_owned(), files.collect());
    }
    let published = match entry.kind {
        RawFormat::Cifar10 => {
            class_names(&folder.join(join(base, "batches.meta.txt")), entry)?
        }
        RawFormat::Cifar100 => {
            class_names(&folder.join(join(base, "fine_label_names.txt")), entry)?
        }
        RawFormat::Idx | RawFormat::ImageFolder => None,
    };
    Ok(Manifest {
        name: entry.name.to_owned(),
        kind: entry.kind,
        classes: published
            .unwrap_or_else(|| entry.classes.iter().map(|&c| c.to_owned()).collect()),
        source: String::new(),
        verified: false,
        licence: entry.licence.to_owned(),
        splits,
        checksums: BTreeMap::new(),
    })
}

/// The class names that the publisher lists in `path`, if the file is there.
fn class_names(path: &Path, entry: &Entry) -> Result<Option<Vec<String>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).doing("read the class names in", path)?;
    let names: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    if names.len() != entry.classes.len() {
        return Err(Error::failed(format_args!(
            "{} names {} classes where {} are published",
            path.display(),
            names.len(),
            entry.classes.len()
        )));
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests;
