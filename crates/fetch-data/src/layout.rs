//! Finds out what a folder holds: a data set of the catalogue, or anything else that
//! `prep` can read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use torchmill::dataset::{
    Dataset, Manifest, OpenOptions, RawFormat, Sample, SourceFolder, UNSPLIT, detect,
    read_class_names,
};
use torchmill::{Context, Error, Result, progress};

use crate::catalogue::Entry;
use crate::folders;

/// What was found in a folder.
#[derive(Debug)]
pub struct Layout {
    /// Its description; the paths are relative to the folder.
    pub manifest: Manifest,
    /// Its images, listed and checked as `prep` would.
    pub data: Dataset,
    /// Other files that belong to it, relative to the folder: the publisher's notes and
    /// lists.
    pub extras: Vec<String>,
}

/// Files that publishers add to the images, and `fetch-data` to its sample.
const EXTRAS: [&str; 8] = [
    "batches.meta.txt",
    "batches.meta",
    "meta",
    "fine_label_names.txt",
    "coarse_label_names.txt",
    "readme.html",
    "README.txt",
    "ATTRIBUTION",
];

/// Finds out what `folder` holds, and opens it to check that it is complete: `entry`'s
/// files if they exist, else what [`detect()`] finds. With `published` the image counts
/// must be those of `entry`.
pub fn find(
    folder: &SourceFolder,
    entry: Option<&Entry>,
    published: bool,
    options: &OpenOptions,
) -> Result<Layout> {
    fs::read_dir(folder.path()).doing("read the folder", folder.shown_path(""))?;
    let in_catalogue =
        entry.and_then(|entry| Some((entry, base_of(folder.path(), entry)?)));
    let (manifest, notes) = match in_catalogue {
        Some((entry, base)) => (as_listed(folder, &base, entry)?, Vec::new()),
        None => detected(folder, entry, options)?,
    };
    let mut data = Dataset::open_as(folder, &manifest, options)?;
    data.notes.splice(0..0, notes);
    if let (Some(entry), true) = (entry, published) {
        check_counts(folder, entry, &data)?;
    }
    let extras = extras(folder.path(), &manifest);
    Ok(Layout { manifest, data, extras })
}

/// The layout of a folder with these class folders, in the order of the labels. A class
/// without images may have no folder.
pub fn of_class_folders(folder: &SourceFolder, classes: Vec<String>) -> Result<Layout> {
    let manifest = Manifest {
        name: folder.name().to_owned(),
        format: RawFormat::ImageFolder,
        classes,
        description: String::new(),
        source: String::new(),
        verified: false,
        licence: String::new(),
        splits: BTreeMap::from([(UNSPLIT.to_owned(), vec![".".to_owned()])]),
        checksums: BTreeMap::new(),
    };
    let data = Dataset::open_as(folder, &manifest, &OpenOptions::default())?;
    Ok(Layout { manifest, data, extras: Vec::new() })
}

/// What [`detect()`] finds, with paths relative to `folder`, and its notes.
fn detected(
    folder: &SourceFolder,
    entry: Option<&Entry>,
    options: &OpenOptions,
) -> Result<(Manifest, Vec<String>)> {
    let base = unwrapped(folder.path());
    let found = detect(&folder.below(&base), options)?;
    let mut manifest = found.manifest;
    for file in manifest.splits.values_mut().flatten() {
        *file = join(&base, file);
    }
    // Images with other classes are a different data set, whatever its name.
    let same = entry.filter(|e| manifest.classes.iter().eq(e.classes));
    if let Some(same) = same {
        same.licence.clone_into(&mut manifest.licence);
    } else if let Some(entry) = entry {
        progress::note(format_args!(
            "{}: this is not laid out as it is published, and has other classes: taken \
             as a data set of your own under that name, without the published licence",
            entry.name
        ));
    }
    Ok((manifest, found.notes))
}

fn check_counts(folder: &SourceFolder, entry: &Entry, data: &Dataset) -> Result<()> {
    for split in entry.splits {
        let found = data.splits.get(split.name).map_or(0, Vec::len) as u64;
        if found != split.images {
            return Err(Error::failed(format_args!(
                "the {} split in {} has {found} images where {} are published",
                split.name,
                folder.shown(),
                split.images
            )));
        }
    }
    Ok(())
}

/// The publisher's notes and lists next to the listed files and the folders of images.
fn extras(folder: &Path, manifest: &Manifest) -> Vec<String> {
    let mut folders = BTreeSet::new();
    for file in manifest.splits.values().flatten() {
        folders.insert(file.rsplit_once('/').map_or("", |(folder, _)| folder));
    }
    let mut extras = Vec::new();
    for base in folders {
        for name in EXTRAS {
            let file = join(base, name);
            if folder.join(&file).is_file() {
                extras.push(file);
            }
        }
    }
    extras
}

impl Layout {
    /// A summary for the user: `50,000 train and 10,000 test images in 10 classes`.
    pub fn summary(&self) -> String {
        // Train comes first, as usual.
        let mut splits: Vec<_> = self.data.splits.iter().collect();
        splits.sort_by_key(|(name, _)| *name != "train");
        let count = |(name, images): &(&String, &Vec<Sample>)| {
            let number = progress::count(images.len() as u64);
            if *name == UNSPLIT { number } else { format!("{number} {name}") }
        };
        let counts: Vec<_> = splits.iter().map(count).collect();
        let classes =
            progress::counted(self.data.classes.len() as u64, "class", "classes");
        let images = if splits.iter().all(|(_, images)| images.len() == 1) {
            "image"
        } else {
            "images"
        };
        format!("{} {images} in {classes}", counts.join(" and "))
    }

    /// All files of the data set, relative to its folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.extras.iter().map(PathBuf::from).collect();
        if self.manifest.format == RawFormat::ImageFolder {
            let samples = self.data.splits.values().flatten();
            files.extend(samples.filter_map(|&sample| self.data.relative_path(sample)));
        } else {
            files.extend(self.manifest.splits.values().flatten().map(PathBuf::from));
        }
        files
    }
}

/// The folder, relative to `folder`, that holds all of `entry`'s files: `folder` itself,
/// or where archives (`cifar-10-batches-bin`) and torchvision (`MNIST/raw`) put them.
fn base_of(folder: &Path, entry: &Entry) -> Option<String> {
    let holds = |base: &&PathBuf| {
        let mut files = entry.splits.iter().flat_map(|split| split.files);
        let base = base.to_str();
        base.is_some_and(|base| {
            files.all(|file| spelling(folder, base, file, entry.format).is_some())
        })
    };
    let folders = folders::below(folder);
    let mut found = folders.iter().filter(holds);
    let base = found.next()?;
    let depth = |path: &Path| path.components().count();
    // With two at the same depth the choice would be arbitrary.
    let is_only = found.next().is_none_or(|other| depth(other) > depth(base));
    base.to_str().filter(|_| is_only).map(str::to_owned)
}

/// Many archives have one folder at the top that holds everything. Returns that folder,
/// relative to `folder`. A folder named like a split is kept.
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
        .filter(|name| !name.starts_with('.') && name != "__MACOSX")
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

/// The actual name of a listed file. IDX files may be gzipped or not, be called
/// `train-images.idx3-ubyte`, or be inside a folder of the same name, as in Kaggle's
/// copies.
fn spelling(folder: &Path, base: &str, file: &str, format: RawFormat) -> Option<String> {
    if format == RawFormat::ImageFolder {
        let path = join(base, file);
        return folder.join(&path).is_dir().then_some(path);
    }
    let plain = file.strip_suffix(".gz").unwrap_or(file);
    let names = [
        file.to_owned(),
        plain.to_owned(),
        plain.replace("-idx", ".idx"),
        format!("{plain}/{plain}"),
    ];
    let paths = names.iter().map(|name| join(base, name));
    paths.into_iter().find(|path| folder.join(path).is_file())
}

fn as_listed(folder: &SourceFolder, base: &str, entry: &Entry) -> Result<Manifest> {
    let mut splits = BTreeMap::new();
    for split in entry.splits {
        let spelled = |file: &&str| spelling(folder.path(), base, file, entry.format);
        let files = split.files.iter().filter_map(spelled);
        splits.insert(split.name.to_owned(), files.collect());
    }
    let published = match entry.format {
        RawFormat::Cifar10 => class_names(folder, base, "batches.meta.txt", entry)?,
        RawFormat::Cifar100 => class_names(folder, base, "fine_label_names.txt", entry)?,
        RawFormat::CifarPickle
        | RawFormat::Idx
        | RawFormat::ImageFolder
        | RawFormat::Parquet
        | RawFormat::WebDataset => None,
    };
    let classes = match published {
        Some(names) => names,
        None => entry.classes.iter().map(|&class| class.to_owned()).collect(),
    };
    Ok(Manifest {
        name: entry.name.to_owned(),
        format: entry.format,
        classes,
        description: String::new(),
        source: String::new(),
        verified: false,
        licence: entry.licence.to_owned(),
        splits,
        checksums: BTreeMap::new(),
    })
}

/// The class names that the publisher lists in the file `name`, if it exists.
fn class_names(
    folder: &SourceFolder,
    base: &str,
    name: &str,
    entry: &Entry,
) -> Result<Option<Vec<String>>> {
    let file = join(base, name);
    if !folder.join(&file).is_file() {
        return Ok(None);
    }
    let shown = folder.shown_path(&file);
    let names = read_class_names(&folder.join(&file), &shown)?;
    if names.len() != entry.classes.len() {
        return Err(Error::failed(format_args!(
            "{} names {} classes where {} are published",
            shown.display(),
            names.len(),
            entry.classes.len()
        )));
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests;
