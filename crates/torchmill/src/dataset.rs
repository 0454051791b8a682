//! What raw data sets look like on disk: CIFAR's binary version, IDX files, folders of
//! images, lists of images, and several of these one after the other.
//!
//! [`Dataset::open`] takes a folder that `fetch-data` wrote or a bare one ([`detect`]
//! says what it is). A data set holds no pixels: samples are small, and
//! [`Dataset::image`] reads one when it is asked for.

mod cifar;
mod concat;
pub mod decode;
pub mod detect;
mod digest;
mod idx;
mod image_folder;
mod list;
pub mod manifest;
mod packed_names;
mod records;
mod select;
mod store;

use std::collections::BTreeMap;
use std::path::Path;

pub use image_folder::{images_below, is_image as is_image_name};
pub use manifest::{Manifest, RawFormat};
pub use select::UNSPLIT;

use crate::transform::Image;
use crate::{Error, Result};
use store::Store;

/// A raw data set: its classes, and each split's samples in order.
#[derive(Debug)]
pub struct Dataset {
    /// The data set's name, such as `cifar10`, or the folder's.
    pub name: String,
    /// The class names; a sample's label is an index into them.
    pub classes: Vec<String>,
    /// The samples of `train`, `test`, `val`, or of [`UNSPLIT`] alone where there is one
    /// heap of images.
    pub splits: BTreeMap<String, Vec<Sample>>,
    /// What a user should know about how the data set was read, one line each.
    pub notes: Vec<String>,
    /// Classes whose folders hold no images, and what to say of them.
    empty: Vec<(String, String)>,
    stores: Vec<Store>,
}

/// One labelled image of a [`Dataset`]: 12 bytes that say where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sample {
    /// An index into [`Dataset::classes`].
    pub label: u32,
    store: u32,
    record: u32,
}

impl Dataset {
    /// Opens the data set in `folder`: as its dataset.toml says, or as [`detect`] finds
    /// it to be.
    ///
    /// Lengths, counts and labels are checked here; image files are only listed (see
    /// [`Dataset::check`]).
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = match folder
            .is_dir()
            .then(|| Manifest::read(folder))
            .transpose()?
            .flatten()
        {
            Some(manifest) => manifest,
            None => detect::manifest(folder)?,
        };
        Self::open_as(folder, &manifest)
    }

    /// Opens the data set in `folder` as `manifest` describes it.
    pub fn open_as(folder: &Path, manifest: &Manifest) -> Result<Self> {
        let mut set = Self {
            name: manifest.name.clone(),
            classes: manifest.classes.clone(),
            splits: BTreeMap::new(),
            notes: Vec::new(),
            empty: Vec::new(),
            stores: Vec::new(),
        };
        for (split, files) in &manifest.splits {
            let samples = match manifest.kind {
                RawFormat::Cifar10 | RawFormat::Cifar100 => {
                    cifar::open(&mut set, folder, manifest, files)
                }
                RawFormat::Idx => idx::open(&mut set, folder, manifest, files),
                RawFormat::ImageFolder => {
                    image_folder::open(&mut set, folder, manifest, files)
                }
            }?;
            if samples.is_empty() {
                return Err(Error::failed(format_args!(
                    "{}: the split `{split}` holds no images",
                    folder.display()
                )));
            }
            set.splits.insert(split.clone(), samples);
        }
        if set.splits.is_empty() {
            return Err(Error::failed(format_args!(
                "{}: has no splits",
                folder.display()
            )));
        }
        Ok(set)
    }

    /// Fails where a class has a folder without images: call it once the classes are
    /// chosen.
    pub fn check(&self) -> Result<()> {
        match self.empty.iter().find(|(class, _)| self.classes.contains(class)) {
            Some((_, message)) => Err(Error::failed(message)),
            None => Ok(()),
        }
    }

    /// Reads and decodes a sample: RGB, or one channel where the files hold grey images
    /// (IDX).
    pub fn image(&self, sample: Sample) -> Result<Image> {
        self.stores[sample.store as usize].image(sample.record as usize)
    }

    /// The shape `[C, H, W]` of a sample whose pixels lie in a binary file, channels
    /// first; `None` for an image file.
    pub fn planar_shape(&self, sample: Sample) -> Option<[usize; 3]> {
        self.stores[sample.store as usize].planar_shape()
    }

    /// Reads such a sample's pixels as they lie there. `pixels` has their length.
    pub fn read_planar(&self, sample: Sample, pixels: &mut [u8]) -> Result<()> {
        self.stores[sample.store as usize].read_planar(sample.record as usize, pixels)
    }

    /// An image file's bytes as they are; `None` for a record of a binary file.
    pub fn encoded(&self, sample: Sample) -> Option<Result<Vec<u8>>> {
        self.stores[sample.store as usize].encoded(sample.record as usize)
    }

    /// Where a sample comes from: `train/cat/0001.jpg`, or `data_batch_1.bin:17`, counted
    /// from 0.
    pub fn source(&self, sample: Sample) -> String {
        self.stores[sample.store as usize].source(sample.record as usize)
    }

    /// Where a sample comes from, for a message: the whole path as the user gave it.
    pub fn location(&self, sample: Sample) -> String {
        self.stores[sample.store as usize].location(sample.record as usize)
    }

    fn add_store(&mut self, store: Store) -> Result<u32> {
        let number = u32::try_from(self.stores.len());
        self.stores.push(store);
        number.map_err(|_| Error::failed("more than 4 billion files of records"))
    }
}

#[cfg(test)]
mod tests;
