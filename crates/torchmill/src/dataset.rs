//! Raw data sets on disk: CIFAR's binary and Python versions, IDX files, folders of
//! images, lists of images, WebDataset's tars, Parquet files, and concatenations of
//! these.
//!
//! [`Dataset::open`] opens a folder that `fetch-data` wrote or any other folder, whose
//! format [`detect`] finds. A data set holds no pixels: [`Dataset::image`] reads a
//! sample's image when it is needed.

mod cifar;
mod cifar_pickle;
mod class_names;
mod concat;
pub mod decode;
mod detect;
mod digest;
mod gaps;
mod idx;
mod image_folder;
mod kept_files;
mod labels;
mod list;
pub mod manifest;
mod options;
mod packed;
mod packed_names;
mod parquet;
mod parts;
mod pickle;
mod raw_format;
mod records;
mod select;
mod source_folder;
mod store;
mod survey;
mod walk;
mod webdataset;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use class_names::{composed, read_class_names};
pub use detect::{Detected, detect, split_named, val_is_test};
pub use digest::{Content, ContentHash};
pub use image_folder::{images_below, is_image_name};
pub use list::PathReader;
pub use manifest::Manifest;
pub use options::{ColumnNames, Extensions, OpenOptions, SplitDirs};
pub use packed::copy_to_temporary;
pub use parts::{is_parquet_name, is_tar_name, split_of_file};
pub use raw_format::RawFormat;
pub use select::UNSPLIT;
pub use source_folder::SourceFolder;

use crate::pixels::Layout;
use crate::transform::{Exif, Image};
use crate::{Error, Result};
use decode::Decoded;
use gaps::Gap;
use parts::Part;
use raw_format::Split;
use store::Store;

/// A raw data set: its classes, and each split's samples in order.
#[derive(Debug, Default)]
pub struct Dataset {
    /// The data set's name, such as `cifar10`, or the folder's.
    pub name: String,
    /// The class names; a sample's label is an index into them.
    pub classes: Vec<String>,
    /// The samples of `train`, `test` and `val`, or only those of [`UNSPLIT`] where the
    /// images come without splits.
    pub splits: BTreeMap<String, Vec<Sample>>,
    /// What a user should know about how the data set was read, one line each.
    pub notes: Vec<String>,
    /// Class folders that are missing or hold no images.
    gaps: Vec<Gap>,
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
    /// Opens the data set in `folder` as its dataset.toml describes it, or else as
    /// [`detect()`] finds it.
    ///
    /// Lengths, counts and labels are checked here; image files are only listed (see
    /// [`Dataset::check`]).
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, &OpenOptions::default())
    }

    /// Like [`Dataset::open`], with the user's options. With [`SplitDirs::Given`] or
    /// [`SplitDirs::None`] the folder is examined again, whatever its dataset.toml says.
    pub fn open_with(folder: &Path, options: &OpenOptions) -> Result<Self> {
        let source = SourceFolder::new(folder);
        let is_free = options.split_dirs == SplitDirs::ByName;
        if is_free
            && folder.is_dir()
            && let Some(manifest) = Manifest::read(folder)?
        {
            return Self::open_as(&source, &manifest, options);
        }
        let detected = detect(&source, options)?;
        let mut set = Self::open_as(&source, &detected.manifest, options)?;
        set.notes.splice(0..0, detected.notes);
        Ok(set)
    }

    /// Opens the data set in `folder` as `manifest` describes it.
    pub fn open_as(
        folder: &SourceFolder,
        manifest: &Manifest,
        options: &OpenOptions,
    ) -> Result<Self> {
        match manifest.format {
            RawFormat::WebDataset | RawFormat::Parquet => {
                Self::open_parts(folder, manifest, options)
            }
            _ => Self::open_splits(folder, manifest, options),
        }
    }

    /// Opens a data set whose labels are found when its files are read.
    fn open_parts(
        folder: &SourceFolder,
        manifest: &Manifest,
        options: &OpenOptions,
    ) -> Result<Self> {
        let parts = Part::of_manifest(folder, manifest)?;
        match manifest.format {
            RawFormat::Parquet => {
                parquet::read(&manifest.name, &parts, &manifest.classes, options)
            }
            _ => webdataset::read(&manifest.name, &parts, &manifest.classes, options),
        }
    }

    fn open_splits(
        folder: &SourceFolder,
        manifest: &Manifest,
        options: &OpenOptions,
    ) -> Result<Self> {
        let mut set = Self {
            name: manifest.name.clone(),
            classes: manifest.classes.clone(),
            ..Self::default()
        };
        for (name, files) in &manifest.splits {
            let split = Split { name, files };
            let samples = manifest
                .format
                .open_split(&mut set, folder, manifest, &split, options)?;
            if samples.is_empty() {
                return Err(Error::failed(format_args!(
                    "{}: the split `{name}` holds no images",
                    folder.shown()
                )));
            }
            set.splits.insert(name.clone(), samples);
        }
        if set.splits.is_empty() {
            return Err(Error::failed(format_args!("{}: has no splits", folder.shown())));
        }
        Ok(set)
    }

    /// Reads and decodes a sample's image: RGB, or one channel if the files hold grey
    /// images (IDX).
    pub fn image(&self, sample: Sample) -> Result<Image> {
        Ok(self.decode(sample, Exif::Ignore)?.image)
    }

    /// Like [`Dataset::image`], turned as `exif` says, with the decoder's warning if the
    /// file is damaged but PIL reads it anyway. A record of a binary file has no
    /// orientation.
    pub fn decode(&self, sample: Sample, exif: Exif) -> Result<Decoded> {
        self.stores[sample.store as usize].decode(sample.record as usize, exif)
    }

    /// The paths of all files that samples are read from.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.stores.iter().flat_map(Store::files)
    }

    /// The shape `[C, H, W]` of a sample that is a record of a binary file; `None` for an
    /// image file.
    pub fn record_shape(&self, sample: Sample) -> Option<[usize; 3]> {
        self.stores[sample.store as usize].record_shape()
    }

    /// Reads the pixels of a record into `out`, which must have exactly their length.
    pub fn read_pixels(
        &self,
        sample: Sample,
        layout: Layout,
        out: &mut [u8],
    ) -> Result<()> {
        let store = &self.stores[sample.store as usize];
        store.read_pixels(sample.record as usize, layout, out)
    }

    /// An image file's undecoded bytes; `None` for a record of a binary file.
    pub fn encoded(&self, sample: Sample) -> Option<Result<Vec<u8>>> {
        self.stores[sample.store as usize].encoded(sample.record as usize)
    }

    /// Where a sample comes from: `train/cat/0001.jpg`, or `data_batch_1.bin:17`, with
    /// records numbered from 0. Bytes of a file name that are not UTF-8 are written as
    /// `\xff`.
    pub fn source(&self, sample: Sample) -> String {
        self.stores[sample.store as usize].source(sample.record as usize)
    }

    /// An image file's path relative to the data set's folder; `None` for a record of a
    /// binary file.
    pub fn relative_path(&self, sample: Sample) -> Option<PathBuf> {
        self.stores[sample.store as usize].relative_path(sample.record as usize)
    }

    /// Where a sample comes from, for messages: the whole path as the user gave it.
    pub fn location(&self, sample: Sample) -> String {
        self.stores[sample.store as usize].location(sample.record as usize)
    }

    /// The index that the next store will have.
    fn next_store(&self) -> Result<u32> {
        u32::try_from(self.stores.len())
            .map_err(|_| Error::failed("more than 4 billion files of records"))
    }
}

/// The index of a store, or of a record in one.
fn index(i: usize) -> Result<u32> {
    u32::try_from(i).map_err(|_| Error::failed("more than 4 billion images"))
}

#[cfg(test)]
mod tests;
