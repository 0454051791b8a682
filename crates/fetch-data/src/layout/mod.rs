//! What a folder holds: one of the catalogue's data sets, or images in a folder per class.

mod check;
pub mod images;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use torchmill::dataset::Kind;
use torchmill::{Context, Error, Result, progress};

use crate::catalogue::{ENTRIES, Entry};

/// What was found in a folder; all paths are relative to it, with `/` between their parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How the images are stored.
    pub kind: Kind,
    /// The class names.
    pub classes: Vec<String>,
    /// As in [`torchmill::dataset::Manifest::splits`].
    pub splits: BTreeMap<String, Vec<String>>,
    /// How many images each split has.
    pub images: BTreeMap<String, u64>,
    /// Further files that belong to it: the publisher's notes and lists.
    pub extras: Vec<String>,
}

impl Layout {
    /// What it holds, for the user: `50,000 train and 10,000 test images in 10 classes`.
    pub fn summary(&self) -> String {
        // Train comes first, as people have it.
        let mut splits: Vec<_> = self.images.iter().collect();
        splits.sort_by_key(|(name, _)| *name != "train");
        let count = |(name, images): &(&String, &u64)| match name.as_str() {
            images::UNSPLIT => progress::count(**images),
            name => format!("{} {name}", progress::count(**images)),
        };
        let counts: Vec<_> = splits.iter().map(count).collect();
        format!("{} images in {} classes", counts.join(" and "), self.classes.len())
    }
}

/// Finds out what `folder` holds and checks that it is whole, as far as sizes and counts tell: `entry`'s
/// files, or where it is `None` (somebody's own data set) those of any data set, or images in class folders.
///
/// With `published` the counts of images must be the published ones.
pub fn find(folder: &Path, entry: Option<&Entry>, published: bool) -> Result<Layout> {
    fs::read_dir(folder).doing("read the folder", folder)?;
    let candidates: Vec<&Entry> = entry.map_or_else(|| ENTRIES.iter().collect(), |e| vec![e]);
    for candidate in candidates {
        // Class folders need no table, and somebody's `train` folder is not that of a published set.
        if candidate.kind == Kind::ImageFolder && entry.is_none() {
            continue;
        }
        if let Some(base) = base_of(folder, candidate) {
            let mut layout = as_listed(folder, &base, candidate)?;
            let labels = check::check(folder, &mut layout, candidate, published && entry.is_some())?;
            if entry.is_none() && candidate.kind == Kind::Idx {
                // IDX files name no classes: number them.
                layout.classes = (0..labels).map(|label| label.to_string()).collect();
            }
            return Ok(layout);
        }
    }
    if let Some(layout) = images::find(folder)? {
        return Ok(layout);
    }
    let looked_for = match entry {
        Some(entry) => {
            format!("the files of {} ({} ...)", entry.name, entry.splits[0].files[0])
        }
        None => "CIFAR's *.bin batches, MNIST's IDX files".to_owned(),
    };
    Err(Error::failed(format_args!(
        "{} holds no data set: looked for {looked_for}, and for images in train/CLASS/ and test/CLASS/, or in a \
         folder per class",
        folder.display()
    )))
}

/// The folder, relative to `folder`, that holds all of `entry`'s files: itself, or where archives
/// (`cifar-10-batches-bin`) and torchvision (`MNIST/raw`) put them.
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
        let below =
            level.iter().flat_map(|base| folders_in(&folder.join(base)).into_iter().map(|f| join(base, &f)));
        level = below.take(1000).collect();
    }
    None
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

fn join(base: &str, name: &str) -> String {
    if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") }
}

/// How a listed file is called here: IDX files are used gzipped or not.
fn spelling(folder: &Path, base: &str, file: &str) -> Option<String> {
    let plain = file.strip_suffix(".gz").unwrap_or(file);
    [file, plain].iter().map(|name| join(base, name)).find(|path| folder.join(path).exists())
}

fn as_listed(folder: &Path, base: &str, entry: &Entry) -> Result<Layout> {
    let mut splits = BTreeMap::new();
    for split in entry.splits {
        let files = split.files.iter().filter_map(|file| spelling(folder, base, file));
        splits.insert(split.name.to_owned(), files.collect());
    }
    let mut classes: Vec<String> = entry.classes.iter().map(|&c| c.to_owned()).collect();
    let mut extras = Vec::new();
    // The publishers' own lists of class names come first.
    for (file, is_names) in [
        ("batches.meta.txt", entry.kind == Kind::Cifar10),
        ("fine_label_names.txt", entry.kind == Kind::Cifar100),
        ("coarse_label_names.txt", false),
        ("readme.html", false),
        ("ATTRIBUTION", false),
    ] {
        let path: PathBuf = folder.join(join(base, file));
        if !path.is_file() {
            continue;
        }
        extras.push(join(base, file));
        if is_names {
            let text = fs::read_to_string(&path).doing("read the class names in", &path)?;
            let names: Vec<String> =
                text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
            if names.len() != classes.len() {
                return Err(Error::failed(format_args!(
                    "{} names {} classes where {} are published",
                    path.display(),
                    names.len(),
                    classes.len()
                )));
            }
            classes = names;
        }
    }
    Ok(Layout { kind: entry.kind, classes, splits, images: BTreeMap::new(), extras })
}

#[cfg(test)]
mod tests;
