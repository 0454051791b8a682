//! The formats of raw data sets, and which file reads each.

use serde::{Deserialize, Serialize};

use super::detect::Detected;
use super::options::OpenOptions;
use super::parts::{self, is_parquet_name, is_tar_name};
use super::source_folder::SourceFolder;
use super::{Dataset, Manifest, Sample, cifar, cifar_pickle, idx, image_folder};
use crate::{Error, Result};

/// Declares [`RawFormat`] and the list of its variants, so that none is forgotten. A
/// folder is searched for the formats in this order.
macro_rules! raw_formats {
    ($($(#[$attribute:meta])* $format:ident,)*) => {
        /// How a data set's images are stored: the `kind` in dataset.toml.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum RawFormat {
            $($(#[$attribute])* $format,)*
        }

        impl RawFormat {
            /// All formats.
            pub(super) const ALL: &[Self] = &[$(Self::$format,)*];
        }
    };
}

raw_formats! {
    /// CIFAR-10's binary version: records of one label byte and 3,072 pixel bytes,
    /// channels first.
    Cifar10,
    /// CIFAR-100's binary version: a coarse and a fine label byte, then the pixels.
    Cifar100,
    /// CIFAR-10's and CIFAR-100's Python version: pickles of a numpy array and a list of
    /// labels.
    CifarPickle,
    /// IDX files (MNIST and its relatives), gzipped or not: a file of images, then a file
    /// of labels.
    Idx,
    /// Image files in a folder per class.
    ImageFolder,
    /// Parquet files with a column of images and one of labels.
    Parquet,
    /// Tars of images and their labels.
    #[serde(rename = "webdataset")]
    WebDataset,
}

impl RawFormat {
    /// Describes the data set in `folder` if it is stored in this format.
    pub(super) fn detect(
        self,
        folder: &SourceFolder,
        options: &OpenOptions,
    ) -> Result<Option<Detected>> {
        match self {
            Self::Cifar10 => cifar::detect_cifar10(folder),
            Self::Cifar100 => cifar::detect_cifar100(folder),
            Self::CifarPickle => cifar_pickle::detect(folder),
            Self::Idx => idx::detect(folder),
            Self::ImageFolder => image_folder::detect(folder, options),
            Self::Parquet => parts::detect(folder, self, is_parquet_name, options),
            Self::WebDataset => parts::detect(folder, self, is_tar_name, options),
        }
    }

    /// Adds the files of one split to `set` and returns their samples.
    pub(super) fn open_split(
        self,
        set: &mut Dataset,
        folder: &SourceFolder,
        manifest: &Manifest,
        split: &Split,
        options: &OpenOptions,
    ) -> Result<Vec<Sample>> {
        match self {
            Self::Cifar10 => cifar::open(set, folder, manifest, split.files, 1),
            // The classes are the fine ones: the label is the second byte.
            Self::Cifar100 => cifar::open(set, folder, manifest, split.files, 2),
            Self::CifarPickle => cifar_pickle::open(set, folder, manifest, split.files),
            Self::Idx => idx::open(set, folder, manifest, split.files),
            Self::ImageFolder => {
                image_folder::open(set, folder, manifest, split, options)
            }
            Self::Parquet | Self::WebDataset => Err(Error::failed(
                "all splits of tars and Parquet files are opened at once",
            )),
        }
    }
}

/// A split as the manifest lists it.
pub(super) struct Split<'a> {
    /// Its name, such as `train`.
    pub name: &'a str,
    /// Its files, relative to the data set's folder.
    pub files: &'a [String],
}
