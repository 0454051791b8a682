//! All shards of one split, as one long list of images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::image_pixels::Pixels;
use super::{DType, Header, Meta, Shard, Storage, file_name};
use crate::suggest::did_you_mean;
use crate::transform::{DecodedPart, FilePart, SampleKind, SampleSpec};
use crate::{Context, Error, Result};

/// The shards of a split, in order: `train-00000-of-00005.shard` to
/// `train-00004-of-00005.shard`.
pub struct ShardSet {
    shards: Vec<Shard>,
    /// `starts[k]` is the number of images before shard `k`; the last entry is the total.
    starts: Vec<usize>,
    format: ImageFormat,
}

/// The properties that the images of all shards of a set share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ImageFormat {
    storage: Storage,
    dtype: DType,
    channels: usize,
    /// `[C, H, W]`, or `None` if sizes differ.
    shape: Option<[usize; 3]>,
}

impl ImageFormat {
    fn of(header: &Header) -> Result<Self> {
        let storage = header.storage()?;
        let field = header.field(storage.field_name());
        Ok(Self {
            storage,
            dtype: field.map_or(DType::Uint8, |field| field.dtype),
            channels: header.channels()?,
            shape: header.image_shape()?,
        })
    }
}

impl ShardSet {
    /// Opens every shard of `split` in `folder` and checks that they belong together and
    /// that none is missing.
    pub fn open(folder: &Path, split: &str) -> Result<Self> {
        let first = find_first(folder, split)?;
        let total = Shard::open(&first)?.header().meta.shards;
        let paths = (0..total).map(|i| folder.join(file_name(split, i, total)));
        Self::from_shards(paths.map(Shard::open).collect::<Result<Vec<_>>>()?)
    }

    /// Makes a set of shards that are already open. They must have the same kind of
    /// images, classes and pipeline, and none may be missing.
    pub fn from_shards(shards: Vec<Shard>) -> Result<Self> {
        let first = shards.first().ok_or_else(|| Error::failed("no shards"))?;
        let meta = first.header().meta.clone();
        let format = ImageFormat::of(first.header())?;
        let mut starts = vec![0];
        for (i, shard) in shards.iter().enumerate() {
            let header = shard.header();
            let expected =
                Meta { index: i as u32, shards: shards.len() as u32, ..meta.clone() };
            if header.meta != expected || ImageFormat::of(header)? != format {
                return Err(Error::failed(format_args!(
                    "{} does not belong with {}: another data set, pipeline or run of \
                     prep; write them again",
                    shard.path().display(),
                    first.path().display()
                )));
            }
            starts.push(starts[i] + header.count as usize);
        }
        Ok(Self { shards, starts, format })
    }

    /// The splits that a folder has shards of, in alphabetical order.
    pub fn splits(folder: &Path) -> Result<BTreeSet<String>> {
        let mut splits = BTreeSet::new();
        for entry in std::fs::read_dir(folder).doing("read the folder", folder)? {
            let name = entry.doing("read the folder", folder)?.file_name();
            if let Some(name) = name.to_str().filter(|n| n.ends_with(".shard")) {
                splits.extend(name.split_once("-00").map(|(s, _)| s.to_owned()));
            }
        }
        Ok(splits)
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.starts[self.shards.len()]
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the images are and which transforms were applied to them, from the first
    /// shard; the others differ only in `index`.
    pub fn meta(&self) -> &Meta {
        &self.shards[0].header().meta
    }

    /// How the images are stored.
    pub fn storage(&self) -> Storage {
        self.format.storage
    }

    /// The shape of the images as `[C, H, W]`, PyTorch's order, or `None` if they may
    /// differ in size.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        self.format.shape
    }

    /// The number of channels of each image.
    pub fn channels(&self) -> usize {
        self.format.channels
    }

    /// The input of a pipeline: uint8 images with the set's channels, and with its size
    /// if all images have the same.
    pub fn spec(&self) -> SampleSpec {
        let size = self.format.shape.map(|[_, height, width]| (height, width));
        SampleSpec { kind: SampleKind::Image, channels: self.format.channels, size }
    }

    /// The type of the images' elements.
    pub fn dtype(&self) -> DType {
        self.format.dtype
    }

    /// The shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Checks every byte of every shard against its checksum, on all cores.
    pub fn verify(&self) -> Result<()> {
        use rayon::prelude::*;
        self.shards.par_iter().try_for_each(Shard::verify)
    }

    /// Checks every byte of every shard, on all cores, except images with their own
    /// checksums, which [`ShardSet::pixels`] checks.
    pub fn verify_index(&self) -> Result<()> {
        use rayon::prelude::*;
        self.shards.par_iter().try_for_each(Shard::verify_index)
    }

    /// Image `i`'s stored bytes: `[H, W, C]` little-endian elements of
    /// [`ShardSet::dtype`], or an image file.
    pub fn image(&self, i: usize) -> Result<&[u8]> {
        let (shard, at) = self.locate(i)?;
        shard.image(at)
    }

    /// Image `i`'s shape as `[C, H, W]`.
    pub fn shape(&self, i: usize) -> Result<[usize; 3]> {
        let (shard, at) = self.locate(i)?;
        shard.shape(at)
    }

    /// Image `i`'s pixels, decoded if the shards store image files.
    pub fn pixels(&self, i: usize) -> Result<Pixels<'_>> {
        let (shard, at) = self.locate(i)?;
        shard.pixels(at)
    }

    /// A part of image `i`, whose pixels are uint8, without decoding the rest.
    pub fn part(&self, i: usize, part: &FilePart) -> Result<DecodedPart> {
        let (shard, at) = self.locate(i)?;
        shard.part(at, part)
    }

    /// Whether image `i` can be decoded at a smaller scale.
    pub fn can_be_scaled(&self, i: usize) -> bool {
        self.locate(i).is_ok_and(|(shard, at)| shard.can_be_scaled(at))
    }

    /// Image `i`'s label.
    pub fn label(&self, i: usize) -> Result<i64> {
        let (shard, at) = self.locate(i)?;
        shard.label(at)
    }

    /// Where image `i` came from.
    pub fn source(&self, i: usize) -> Result<String> {
        let (shard, at) = self.locate(i)?;
        shard.source(at)
    }

    fn locate(&self, i: usize) -> Result<(&Shard, usize)> {
        if i >= self.len() {
            return Err(Error::failed(format_args!(
                "there is no image {i}: the set has {}",
                self.len()
            )));
        }
        let k = self.starts.partition_point(|&s| s <= i) - 1;
        Ok((&self.shards[k], i - self.starts[k]))
    }
}

/// The first shard of a split, whatever the number of shards in its name.
fn find_first(folder: &Path, split: &str) -> Result<PathBuf> {
    let prefix = format!("{split}-00000-of-");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).doing("read the folder", folder)? {
        let name = entry.doing("read the folder", folder)?.file_name();
        let Some(name) = name.to_str().filter(|n| n.ends_with(".shard")) else {
            continue;
        };
        if name.starts_with(&prefix) {
            found.push(folder.join(name));
        }
    }
    let splits = ShardSet::splits(folder)?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => Err(Error::failed(format_args!(
            "{} and {} both exist: two runs of prep have written to one folder; \
             delete the older",
            one.display(),
            other.display()
        ))),
        (None, _) if splits.is_empty() => Err(Error::failed(format_args!(
            "{} holds no shards: write some with prep",
            folder.display()
        ))),
        (None, _) => Err(Error::failed(format_args!(
            "{} holds no shards of the split `{split}`, only of {}{}{}",
            folder.display(),
            splits.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            did_you_mean(split, splits.iter().map(String::as_str)),
            match split {
                "test" => "; `prep --test-fraction 0.2` makes a test split",
                _ => "",
            }
        ))),
    }
}
