//! Image files in a folder per class, read as torchvision's ImageFolder reads them: class
//! folders sorted by name, below each every file with an image's extension, folders
//! followed to any depth, sorted. Hidden files and folders are left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use walkdir::WalkDir;

use super::packed_names::PackedNames;
use super::store::{Files, Store};
use super::{Dataset, Manifest, Sample, records};
use crate::{Context, Error, Result, interrupt, progress};

/// What an image's name ends with: torchvision's IMG_EXTENSIONS and a few more that are
/// read.
pub const EXTENSIONS: [&str; 12] = [
    "jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp", "gif", "pnm",
    "jfif",
];

/// Adds a split's image files to `set` and returns their samples.
pub(super) fn open(
    set: &mut Dataset,
    folder: &Path,
    manifest: &Manifest,
    files: &[String],
) -> Result<Vec<Sample>> {
    let [split] = files else {
        return Err(Error::failed(format_args!(
            "{}: a split of an image folder is one folder; dataset.toml lists {}",
            folder.display(),
            files.len()
        )));
    };
    let root =
        if split == "." { folder.to_path_buf() } else { records::inside(folder, split)? };
    let mut found = Found::default();
    let mut names = PackedNames::default();
    let mut samples = Vec::new();
    let store = set.stores.len() as u32;
    // A folder that holds images itself is a class of its own.
    let alone = manifest.classes.len() == 1 && !root.join(&manifest.classes[0]).is_dir();
    if !alone {
        let unknown =
            class_folders(&root)?.into_iter().find(|c| !manifest.classes.contains(c));
        if let Some(unknown) = unknown {
            return Err(Error::failed(format_args!(
                "{} is a class folder, but `{unknown}` is not among the classes of the training images",
                root.join(&unknown).display()
            )));
        }
    }
    for (class, label) in manifest.classes.iter().zip(0u32..) {
        let under = if alone { "" } else { class.as_str() };
        if !root.join(under).exists() {
            set.notes.push(format!(
                "{} is not there: no images of that class",
                root.join(under).display()
            ));
            continue;
        }
        let files = found.images(&root, under)?;
        if files.is_empty() {
            let message = format!(
                "{} holds no images (files that end in {}): put some there, or leave the class out with --classes",
                root.join(under).display(),
                EXTENSIONS.map(|e| format!(".{e}")).join(" ")
            );
            set.empty.push((class.clone(), message));
        }
        for file in files {
            let record = u32::try_from(names.len())
                .map_err(|_| Error::failed("over 4 billion images"))?;
            names.push(&file);
            samples.push(Sample { label, store, record });
        }
    }
    let prefix = if split == "." { String::new() } else { format!("{split}/") };
    set.add_store(Store::Files(Files { root, prefix, names }))?;
    set.notes.extend(found.note());
    Ok(samples)
}

/// The image files below `folder`, relative to it, in torchvision's order, and a note on
/// files left out.
pub fn images_below(folder: &Path) -> Result<(Vec<String>, Option<String>)> {
    let mut found = Found::default();
    let images = found.images(folder, "")?;
    Ok((images, found.note()))
}

/// The folders in `root` that are not hidden, sorted: the classes.
pub(super) fn class_folders(root: &Path) -> Result<Vec<String>> {
    let mut classes = BTreeSet::new();
    for entry in fs::read_dir(root).doing("read the folder", root)? {
        let entry = entry.doing("read the folder", root)?;
        let name = text(&entry.file_name(), root)?;
        if !name.starts_with('.') && entry.path().is_dir() {
            classes.insert(name);
        }
    }
    Ok(classes.into_iter().collect())
}

/// Whether `folder` or one below it holds an image: stops at the first.
pub(super) fn holds_images(folder: &Path) -> bool {
    walk(folder).any(|e| e.is_ok_and(|e| e.file_type().is_file() && is_image(e.path())))
}

/// Whether `folder` itself holds an image.
pub(super) fn holds_images_directly(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|e| {
            e.is_ok_and(|e| {
                !e.file_name().as_encoded_bytes().starts_with(b".")
                    && is_image(Path::new(&e.file_name()))
                    && e.path().is_file()
            })
        })
    })
}

/// Collects image files and counts what is no image by its name.
#[derive(Debug, Default)]
struct Found {
    skipped: u64,
    first_skipped: Option<String>,
}

impl Found {
    /// The images below `root/under`, relative to `root`, in torchvision's order: by
    /// folder, then by name.
    fn images(&mut self, root: &Path, under: &str) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in walk(&root.join(under)) {
            let entry = entry.map_err(|e| unreadable(&e))?;
            if files.len().is_multiple_of(4096) {
                interrupt::check()?;
            }
            if !entry.file_type().is_file() {
                continue;
            }
            if is_image(entry.path()) {
                let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
                files.push(text(relative.as_os_str(), root)?);
            } else {
                self.skipped += 1;
                self.first_skipped
                    .get_or_insert_with(|| entry.path().display().to_string());
            }
        }
        files.sort_unstable_by(|a, b| by_folder(a).cmp(&by_folder(b)));
        Ok(files)
    }

    fn note(self) -> Option<String> {
        let first = self.first_skipped?;
        Some(match self.skipped {
            1 => format!("left out {first}: by its name it is no image"),
            n => format!(
                "left out {} files that by their names are no images, {first} first",
                progress::count(n)
            ),
        })
    }
}

/// A path as (folder, name): what torchvision sorts by.
fn by_folder(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn walk(folder: &Path) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> {
    let hidden =
        |e: &walkdir::DirEntry| e.file_name().as_encoded_bytes().starts_with(b".");
    WalkDir::new(folder)
        .min_depth(1)
        .follow_links(true)
        .into_iter()
        .filter_entry(move |e| !hidden(e))
}

/// Whether a file is an image by its name.
pub fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

fn text(name: &std::ffi::OsStr, folder: &Path) -> Result<String> {
    name.to_str().map(str::to_owned).ok_or_else(|| {
        Error::failed(format_args!(
            "{}: the name {name:?} is not UTF-8; rename it",
            folder.display()
        ))
    })
}

fn unreadable(error: &walkdir::Error) -> Error {
    let path = error.path().map(|p| p.display().to_string()).unwrap_or_default();
    match (error.io_error(), error.loop_ancestor()) {
        (Some(e), _) => Error::io(format_args!("cannot read {path}"), e),
        (None, Some(ancestor)) => Error::failed(format_args!(
            "{path} is a link that leads back to {}: the folders would never end",
            ancestor.display()
        )),
        (None, None) => Error::failed(error),
    }
}
