//! A list of images: paths, classes and splits, in lines on standard input ([`lines`]), in
//! a CSV or TSV file ([`table`]) or in a file of JSON objects ([`jsonl`]).
//!
//! A list without classes takes the folder that an image lies in as its class, so that
//! `find pets -name '*.jpg' | prep - -o shards` works.

mod columns;
mod images;
mod jsonl;
mod lines;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub(super) use columns::label_rank;
pub use lines::PathReader;

use super::class_names::{composed, order_note};
use super::detect::{split_named, val_is_test};
use super::packed_names::{PackedNames, readable};
use super::store::{Files, Store};
use super::{Dataset, Sample, UNSPLIT};
use crate::text::shown;
use crate::{Error, Result, interrupt};

/// A list while it is read.
#[derive(Default)]
struct List {
    names: PackedNames,
    /// Class names, in the order in which they were added; a sample's label is an index
    /// into them until the list is complete.
    classes: Vec<String>,
    label_of: HashMap<String, u32>,
    splits: BTreeMap<String, Vec<Sample>>,
    /// Whether the classes keep the order in which they were added.
    keeps_order: bool,
}

impl List {
    /// A list whose classes are these, in this order.
    fn with_classes(classes: &[String]) -> Self {
        let mut list = Self { keeps_order: true, ..Self::default() };
        for class in classes {
            list.label(class);
        }
        list
    }

    /// Adds an image. Without a class its folder is the class.
    fn add(
        &mut self,
        path: &Path,
        class: Option<&str>,
        split: Option<&str>,
    ) -> Result<()> {
        if self.names.len().is_multiple_of(4096) {
            interrupt::check()?;
        }
        let split = self.split(split)?;
        let class = match class {
            Some("") => return Err(Error::failed("the label is empty")),
            Some(class) => composed(class),
            None => class_of_folder(path)?,
        };
        let label = self.label(&class);
        let record = u32::try_from(self.names.len())
            .map_err(|_| Error::failed("more than 4 billion images"))?;
        self.names.push(path);
        let samples = self.splits.entry(split.to_owned()).or_default();
        samples.push(Sample { label, store: 0, record });
        Ok(())
    }

    /// The split with that name. Either all images must have a split or none.
    fn split(&self, name: Option<&str>) -> Result<&'static str> {
        let split = match name.filter(|name| !name.is_empty()) {
            None => UNSPLIT,
            Some(name) => split_named(name).ok_or_else(|| {
                Error::failed(format_args!(
                    "`{}` is not a split: use train, test or val",
                    shown(name)
                ))
            })?,
        };
        let is_first = self.splits.is_empty();
        if split == UNSPLIT && !is_first && !self.splits.contains_key(UNSPLIT) {
            return Err(Error::failed("has no split, but lines before it have one"));
        }
        if split != UNSPLIT && self.splits.contains_key(UNSPLIT) {
            return Err(Error::failed("has a split, but lines before it have none"));
        }
        Ok(split)
    }

    fn label(&mut self, class: &str) -> u32 {
        if let Some(label) = self.label_of.get(class) {
            return *label;
        }
        let label = self.classes.len() as u32;
        self.classes.push(class.to_owned());
        self.label_of.insert(class.to_owned(), label);
        label
    }

    /// The data set `name`, whose paths are relative to `root`. Classes are sorted as
    /// text unless they keep their order.
    fn finish(mut self, name: &str, location: &str, root: &Path) -> Result<Dataset> {
        if self.names.len() == 0 {
            return Err(Error::failed(format_args!("{location}: lists no images")));
        }
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        if !self.keeps_order {
            order.sort_by_key(|&i| &self.classes[i]);
        }
        let mut new_label = vec![0; order.len()];
        for (label, &i) in order.iter().enumerate() {
            new_label[i] = label as u32;
        }
        for sample in self.splits.values_mut().flatten() {
            sample.label = new_label[sample.label as usize];
        }
        val_is_test(&mut self.splits);
        let classes: Vec<String> =
            order.iter().map(|&i| self.classes[i].clone()).collect();
        let notes = if self.keeps_order { None } else { order_note(&classes) };
        let files = Files::new(root.to_path_buf(), String::new(), self.names);
        Ok(Dataset {
            name: name.to_owned(),
            classes,
            splits: self.splits,
            notes: notes.into_iter().collect(),
            stores: vec![Store::Files(files)],
            ..Dataset::default()
        })
    }
}

/// The name of the folder that an image lies in.
fn class_of_folder(path: &Path) -> Result<String> {
    let folder = path.parent().and_then(Path::file_name);
    folder.map(|folder| composed(&readable(Path::new(folder)))).ok_or_else(|| {
        Error::failed(format_args!(
            "{} has no label, and no folder in its path that could be its class",
            shown(&readable(path))
        ))
    })
}
