//! Image files in a folder per class, read as torchvision's ImageFolder reads them: class
//! folders sorted by name, in each every file with an image's extension, at any depth,
//! sorted by folder and then by name.
//!
//! It differs from ImageFolder in this: hidden files and folders are left out, a class
//! folder may be empty (`allow_empty`), and .gif, .pnm and .jfif are images too.

mod class_dirs;
mod layout;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(super) use layout::detect;

use super::options::{Extensions, OpenOptions};
use super::packed_names::PackedNames;
use super::raw_format::Split;
use super::source_folder::SourceFolder;
use super::store::{Files, Store};
use super::walk::ImageWalk;
use super::{Dataset, Gap, Manifest, Sample};
use crate::{Error, Result};

/// Adds a split's image files to `set` and returns their samples.
pub(super) fn open(
    set: &mut Dataset,
    folder: &SourceFolder,
    manifest: &Manifest,
    split: &Split,
    options: &OpenOptions,
) -> Result<Vec<Sample>> {
    let [dir] = split.files else {
        return Err(Error::failed(format_args!(
            "{}: a split of an image folder is one folder, but dataset.toml lists {}",
            folder.shown(),
            split.files.len()
        )));
    };
    if dir != "." {
        folder.check_inside(dir)?;
    }
    let root = if dir == "." { folder.clone() } else { folder.below(dir) };
    let dirs = dirs_of_classes(&root, &manifest.classes)?;
    let mut images = Images::new(set.next_store()?, &options.extensions);
    for (class, label) in manifest.classes.iter().zip(0u32..) {
        let gap = |reason| Gap { class: class.clone(), split: split.name.into(), reason };
        let Some(dir) = dirs.get(class) else {
            let missing = root.shown_path(class);
            set.gaps.push(gap(format!("{} is not there", missing.display())));
            continue;
        };
        if images.add_class(&root, dir, label)? == 0 {
            set.gaps.push(gap(no_images(&root, dir, &options.extensions)));
        }
    }
    let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
    let root = root.path().to_path_buf();
    set.stores.push(Store::Files(Files::new(root, prefix, images.names)));
    set.notes.extend(images.walk.notes());
    Ok(images.samples)
}

/// The images of a split while they are listed.
struct Images {
    walk: ImageWalk,
    names: PackedNames,
    samples: Vec<Sample>,
    store: u32,
}

impl Images {
    fn new(store: u32, extensions: &Extensions) -> Self {
        Self {
            walk: ImageWalk::new(extensions),
            names: PackedNames::default(),
            samples: Vec::new(),
            store,
        }
    }

    /// Adds the images of the class folder `dir`, and returns how many there are.
    fn add_class(
        &mut self,
        root: &SourceFolder,
        dir: &OsString,
        label: u32,
    ) -> Result<usize> {
        let files = self.walk.images(root, Path::new(dir))?;
        for file in &files {
            let record = u32::try_from(self.names.len())
                .map_err(|_| Error::failed("more than 4 billion images"))?;
            self.names.push(file);
            self.samples.push(Sample { label, store: self.store, record });
        }
        Ok(files.len())
    }
}

fn no_images(root: &SourceFolder, dir: &OsString, extensions: &Extensions) -> String {
    format!(
        "{} holds no images (files that end in {})",
        root.shown_path(dir).display(),
        extensions.listed()
    )
}

/// The folder of each class in `root`. A folder that holds images and no class folders is
/// itself a class.
fn dirs_of_classes(
    root: &SourceFolder,
    classes: &[String],
) -> Result<BTreeMap<String, OsString>> {
    let found = class_dirs::of(root)?;
    if let [class] = classes
        && !found.iter().any(|dir| dir.class == *class)
    {
        return Ok(BTreeMap::from([(class.clone(), OsString::new())]));
    }
    if let Some(unknown) = found.iter().find(|dir| !classes.contains(&dir.class)) {
        return Err(Error::failed(format_args!(
            "{} is a class folder, but `{}` is not among the classes of the training \
             images ({})",
            root.shown_path(&unknown.dir).display(),
            unknown.class,
            super::survey::listed(classes)
        )));
    }
    Ok(found.into_iter().map(|dir| (dir.class, dir.dir)).collect())
}

/// The image files below `folder`, relative to it, in torchvision's order, and notes on
/// files left out.
pub fn images_below(folder: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let mut walk = ImageWalk::new(&Extensions::default());
    let images = walk.images(&SourceFolder::new(folder), Path::new(""))?;
    Ok((images, walk.notes()))
}

/// Whether a file is an image by its name.
pub fn is_image_name(path: &Path) -> bool {
    Extensions::default().include(path)
}
