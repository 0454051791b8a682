//! WebDataset: tars in which the files of a sample share a key, `0001.jpg` and
//! `0001.cls`, and are adjacent. Source: <https://github.com/webdataset/webdataset>.
//!
//! A label is a number or the name of a class, in `KEY.cls`, `KEY.json` or `KEY.txt`. In
//! a tar without labels, the folder of an image is its class.

mod group;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tar::{Archive, Entry};

use super::class_names::check_characters;
use super::detect::val_is_test;
use super::labels::Labels;
use super::options::OpenOptions;
use super::packed::{Packed, PackedBytes};
use super::packed_names::readable;
use super::parts::Part;
use super::records::Bytes;
use super::store::Store;
use super::survey::listed;
use super::{Dataset, Sample, walk};
use crate::{Error, Result, interrupt};
use group::{Group, LabelFile, Member};

/// The largest label file, in bytes; notes in JSON can be long.
const LONGEST_LABEL: u64 = 1 << 20;
/// The bytes of a tar's blocks.
const BLOCK: u64 = 512;

impl Dataset {
    /// Reads the headers and labels of tars, which may be gzipped, as the data set `name`.
    /// Files named after splits are those splits.
    pub fn from_tars(
        name: &str,
        files: &[PathBuf],
        options: &OpenOptions,
    ) -> Result<Self> {
        let parts = Part::list(files, options)?;
        let mut set = read(name, &parts, &[], options)?;
        val_is_test(&mut set.splits);
        Ok(set)
    }

    /// Reads a tar in a temporary file, which messages call `location`.
    pub fn from_temporary_tar(
        file: File,
        location: &str,
        options: &OpenOptions,
    ) -> Result<Self> {
        let part = Part::stream(location);
        let mut tars = Tars::new(&[], options);
        tars.read_file(&part, Bytes::of_temporary(file, Path::new(location))?)?;
        tars.finish("stream", location)
    }
}

/// Reads tars as the data set `name`, with these classes if there are any.
pub(super) fn read(
    name: &str,
    parts: &[Part],
    classes: &[String],
    options: &OpenOptions,
) -> Result<Dataset> {
    let mut tars = Tars::new(classes, options);
    for part in parts {
        tars.read_file(part, Bytes::open(&part.path, &part.shown)?)?;
    }
    let location = parts.first().map_or(name.to_owned(), |p| readable(&p.shown));
    tars.finish(name, &location)
}

/// A data set while its tars are read.
struct Tars<'a> {
    options: &'a OpenOptions,
    labels: Labels,
    /// Samples with provisional labels.
    splits: BTreeMap<String, Vec<Sample>>,
    stores: Vec<Store>,
    /// The first image with a label, and the first one without.
    first_labelled: Option<String>,
    first_unlabelled: Option<String>,
    /// Whether an image has neither a label nor a folder.
    has_no_class: bool,
    /// Files that are neither images nor labels of images.
    left_out: u64,
    first_left_out: Option<String>,
    /// The tars that do not end with zeros.
    without_end: Vec<String>,
}

impl<'a> Tars<'a> {
    fn new(classes: &[String], options: &'a OpenOptions) -> Self {
        Self {
            options,
            labels: Labels::new(classes),
            splits: BTreeMap::new(),
            stores: Vec::new(),
            first_labelled: None,
            first_unlabelled: None,
            has_no_class: false,
            left_out: 0,
            first_left_out: None,
            without_end: Vec::new(),
        }
    }

    fn read_file(&mut self, part: &Part, bytes: Bytes) -> Result<()> {
        let in_part = |e: Error| e.within(part.shown.display());
        let length = bytes.count;
        let is_temporary = bytes.is_temporary;
        let file = Arc::new(bytes.into_file());
        let place = match is_temporary {
            true => PackedBytes::Temporary(Arc::clone(&file)),
            false => PackedBytes::OnDisk,
        };
        let mut packed = Packed::archive(&part.shown, part.name.clone(), place);
        if !is_temporary {
            packed.path = part.path.clone();
        }
        self.read_members(part, &file, length, &mut packed).map_err(in_part)?;
        check_names(&packed, self.first_labelled.is_some()).map_err(in_part)?;
        self.stores.push(Store::Packed(packed));
        Ok(())
    }

    fn read_members(
        &mut self,
        part: &Part,
        file: &File,
        length: u64,
        packed: &mut Packed,
    ) -> Result<()> {
        let mut archive = Archive::new(file);
        // In tars joined with `cat`, the next one follows the zeros that end the first.
        archive.set_ignore_zeros(true);
        let mut group = Group::default();
        let mut end = 0;
        for (i, entry) in archive.entries_with_seek().map_err(damaged)?.enumerate() {
            if i.is_multiple_of(4096) {
                interrupt::check()?;
            }
            let mut entry = entry.map_err(damaged)?;
            end = entry.raw_file_position().saturating_add(entry.size());
            let Some(path) = member_path(&entry) else { continue };
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                continue;
            }
            let member =
                Member { start: entry.raw_file_position(), length: entry.size(), path };
            if end > length {
                return Err(Error::failed(format_args!(
                    "is cut short: {} ends at {end}, and the file has {length} bytes",
                    readable(&member.path),
                )));
            }
            if !group.has_key_of(&member.path) {
                let done = std::mem::replace(&mut group, Group::of(&member.path));
                self.add(part, done, packed)?;
            }
            let is_image = self.options.extensions.include(&member.path);
            let label = LabelFile::of(&member.path);
            if (is_image || label.is_some()) && !kind.is_file() {
                return Err(Error::failed(format_args!(
                    "{} is a link or a device, not a file",
                    readable(&member.path)
                )));
            }
            if is_image {
                group.images.push(member);
            } else if let Some(label) = label {
                group.set_label(label, member, read_label(&mut entry)?)?;
            } else {
                self.leave_out(part, &member.path);
            }
        }
        if end.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK) > length {
            self.without_end.push(readable(&part.shown));
        }
        self.add(part, group, packed)
    }

    /// Adds the images of a sample.
    fn add(&mut self, part: &Part, group: Group, packed: &mut Packed) -> Result<()> {
        let label = group.label(self.options.columns.label.as_deref())?;
        if let Some((file, text)) = label {
            let image = group.only_image(&file)?;
            let label = self.labels.of_text(&text);
            let label = label.map_err(|e| e.within(readable(&file)))?;
            self.first_labelled.get_or_insert_with(|| location(part, &image.path));
            return self.push(part, image, label, packed);
        }
        for image in &group.images {
            let folder = image.path.parent().and_then(Path::file_name);
            let class = folder.map(|folder| readable(Path::new(folder)));
            let label = class.map_or(Ok(0), |class| self.labels.of_name(&class))?;
            if self.first_unlabelled.is_none() || folder.is_none() {
                self.first_unlabelled = Some(location(part, &image.path));
            }
            if folder.is_none() {
                self.has_no_class = true;
            }
            self.push(part, image, label, packed)?;
        }
        if group.images.is_empty() {
            for file in group.label_files() {
                self.leave_out(part, file);
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        part: &Part,
        image: &Member,
        label: u32,
        packed: &mut Packed,
    ) -> Result<()> {
        let sample = Sample {
            label,
            store: super::index(self.stores.len())?,
            record: super::index(packed.len())?,
        };
        packed
            .push(image.start, image.length, &image.path)
            .map_err(|e| e.within(readable(&image.path)))?;
        match self.splits.get_mut(&part.split) {
            Some(samples) => samples.push(sample),
            None => {
                self.splits.insert(part.split.clone(), vec![sample]);
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, part: &Part, path: &Path) {
        self.left_out += 1;
        self.first_left_out.get_or_insert_with(|| location(part, path));
    }

    fn finish(mut self, name: &str, at: &str) -> Result<Dataset> {
        if self.splits.is_empty() {
            return Err(Error::failed(format_args!(
                "{at}: holds no images ({})",
                self.options.extensions.listed()
            )));
        }
        if let Some(image) = &self.first_unlabelled
            && (self.first_labelled.is_some() || self.has_no_class)
        {
            return Err(Error::failed(format_args!(
                "{image} has no label: it needs a file with the same key (.cls, .json or \
                 .txt) right before or after it, or a folder that is its class, if no \
                 image has a label"
            )));
        }
        let notes = self.left_out_note().into_iter().chain(self.end_note()).collect();
        let is_named = self.first_labelled.is_none();
        let (classes, new_label) = self.labels.finish(is_named);
        check_characters(&classes).map_err(|e| e.within(at))?;
        for sample in self.splits.values_mut().flatten() {
            sample.label = new_label[sample.label as usize];
        }
        Ok(Dataset {
            name: name.to_owned(),
            classes,
            splits: self.splits,
            notes,
            stores: self.stores,
            ..Dataset::default()
        })
    }

    /// A tar ends with a block of zeros. Without it all images may be there, or some may
    /// be missing.
    fn end_note(&self) -> Option<String> {
        let (is, it) = match self.without_end.len() {
            0 => return None,
            1 => ("has", "it"),
            _ => ("have", "they"),
        };
        Some(format!(
            "{} {is} no end: {it} may be cut short, so that images are missing",
            listed(&self.without_end)
        ))
    }

    fn left_out_note(&self) -> Option<String> {
        let first = self.first_left_out.as_ref()?;
        Some(match self.left_out {
            1 => format!("left out {first}: it is neither an image nor a label of one"),
            n => format!(
                "left out {n} files that are neither images nor labels of images: {first} \
                 first"
            ),
        })
    }
}

fn location(part: &Part, path: &Path) -> String {
    readable(&part.shown.join(path))
}

fn damaged(error: std::io::Error) -> Error {
    Error::failed(format_args!("cannot be read as a tar, it is damaged: {error}"))
}

/// The path of a member, without `./`; `None` if it or a folder of it is hidden.
fn member_path<R: Read>(entry: &Entry<R>) -> Option<PathBuf> {
    let bytes = entry.path_bytes();
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(&bytes)).components() {
        match part {
            Component::Normal(name) if walk::is_hidden(name) => return None,
            Component::Normal(name) => path.push(name),
            // Nothing is written to this path, so `..` does no harm.
            _ => {}
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}

/// The contents of a label file.
fn read_label<R: Read>(entry: &mut Entry<R>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    entry.take(LONGEST_LABEL).read_to_end(&mut text).map_err(damaged)?;
    Ok(text)
}

/// Rejects an archive with two images with the same key, or with the same path if images
/// have no labels.
fn check_names(packed: &Packed, is_labelled: bool) -> Result<()> {
    let name = |i: usize| match packed.member(i) {
        Some(path) if is_labelled => group::key(path.as_os_str().as_bytes()),
        Some(path) => path.as_os_str().as_bytes(),
        None => &[],
    };
    let mut order: Vec<usize> = (0..packed.len()).collect();
    order.sort_unstable_by(|&a, &b| name(a).cmp(name(b)));
    for pair in order.windows(2) {
        if name(pair[0]) == name(pair[1]) {
            let key = readable(Path::new(OsStr::from_bytes(name(pair[0]))));
            return Err(Error::failed(format_args!(
                "two images have the key {key}: give each sample a key of its own"
            )));
        }
    }
    Ok(())
}
