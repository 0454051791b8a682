//! Duplicate images: files or records with the same bytes. A test image that is also a
//! training image makes the accuracy too high, and one image with two labels cannot be
//! learned.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;
use torchmill::dataset::{ContentHash, Dataset, Sample};
use torchmill::{Error, Result, progress};

use crate::args::Duplicates;
use crate::contents::Contents;

/// The number of examples in a message.
const EXAMPLES: usize = 2;

/// The duplicates that were found.
#[derive(Default)]
struct Found {
    /// For (split, other split), the images of the first that are also in the second.
    across: BTreeMap<(String, String), Group>,
    /// The images of a split that come earlier in the same split.
    within: BTreeMap<String, Group>,
    /// Images that have another label elsewhere.
    conflicting: Group,
    /// The content of images with two labels.
    two_labels: HashSet<ContentHash>,
    /// For each image of a split, whether an equal one comes before it.
    repeated: BTreeMap<String, Vec<bool>>,
}

/// A number of images, with the first few as examples.
#[derive(Default)]
struct Group {
    count: u64,
    examples: Vec<String>,
}

impl Group {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }

    /// `3 images`, and the examples.
    fn images(&self) -> String {
        let images = if self.count == 1 { "image" } else { "images" };
        format!("{} {images}", progress::count(self.count))
    }

    fn examples(&self) -> String {
        self.examples.join(" and ")
    }
}

/// An image of a split.
#[derive(Clone, Copy)]
struct Place<'a> {
    split: &'a str,
    /// The index in the split.
    index: usize,
    sample: Sample,
    hash: ContentHash,
}

/// All images that can be read, numbered through the splits.
struct Places<'a> {
    set: &'a Dataset,
    contents: &'a Contents,
    /// The splits, each with the number of its first image.
    splits: Vec<(String, usize)>,
}

impl<'a> Places<'a> {
    fn new(set: &'a Dataset, contents: &'a Contents) -> Self {
        let mut splits = Vec::new();
        let mut count = 0;
        for split in in_order(set) {
            let length = set.splits[&split].len();
            splits.push((split, count));
            count += length;
        }
        Self { set, contents, splits }
    }

    /// The image of this number.
    fn get(&self, number: usize) -> Option<Place<'_>> {
        let at = self.splits.partition_point(|(_, first)| *first <= number);
        let (split, first) = self.splits.get(at.checked_sub(1)?)?;
        let index = number - first;
        let sample = *self.set.splits[split].get(index)?;
        let hash = self.contents[split].get(index)?.as_ref()?.hash;
        Some(Place { split, index, sample, hash })
    }

    /// Pairs of equal images, by the number of the later one: its number, and that of the
    /// first one.
    ///
    /// A table of all hashes would take several times as much memory as this list, which
    /// is sorted so that equal images are next to each other.
    fn duplicates(&self) -> Vec<(usize, usize)> {
        let mut list: Vec<(u64, usize)> = Vec::new();
        for (split, first) in &self.splits {
            let contents = &self.contents[split];
            list.reserve_exact(contents.len());
            for (content, number) in contents.iter().zip(*first..) {
                if let Some(content) = content {
                    list.push((content.hash.prefix(), number));
                }
            }
        }
        list.par_sort_unstable();
        let groups = list.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
        let mut pairs: Vec<_> = groups.flat_map(|group| self.pairs(group)).collect();
        pairs.sort_unstable();
        pairs
    }

    /// The pairs among images whose hashes begin alike, in the order of their numbers.
    fn pairs(&self, group: &[(u64, usize)]) -> Vec<(usize, usize)> {
        // Almost always this is one image.
        let mut firsts: Vec<(ContentHash, usize)> = Vec::new();
        let mut pairs = Vec::new();
        for &(_, number) in group {
            let Some(place) = self.get(number) else { continue };
            match firsts.iter().find(|(hash, _)| *hash == place.hash) {
                Some((_, first)) => pairs.push((number, *first)),
                None => firsts.push((place.hash, number)),
            }
        }
        pairs
    }
}

/// Finds duplicate images and, depending on `action`, warns, fails, or removes them from
/// `set` and `contents`.
///
/// Only the first of equal images is kept. The test split comes first, then val, then the
/// others, and train last, so that the test split loses no image to another split. An
/// image with two labels is left out everywhere, since the right label is not known.
pub fn check(
    set: &mut Dataset,
    contents: &mut Contents,
    action: Duplicates,
) -> Result<()> {
    let found = find(set, contents);
    let messages = found.messages();
    if messages.is_empty() {
        return Ok(());
    }
    match action {
        Duplicates::Warn => {
            for message in messages {
                progress::note(format_args!("note: {message}"));
            }
            progress::note("  --duplicates drop leaves them out, error refuses them");
        }
        Duplicates::Error => return Err(Error::failed(messages.join("; "))),
        Duplicates::Drop => {
            for message in messages {
                progress::note(format_args!("left out: {message}"));
            }
            leave_out(set, contents, &found);
        }
    }
    Ok(())
}

fn find(set: &Dataset, contents: &Contents) -> Found {
    let mut found = Found::default();
    for (split, samples) in &set.splits {
        found.repeated.insert(split.clone(), vec![false; samples.len()]);
    }
    let places = Places::new(set, contents);
    for (number, first) in places.duplicates() {
        if let (Some(place), Some(first)) = (places.get(number), places.get(first)) {
            found.add(set, place, first);
        }
    }
    found
}

/// The splits, train last.
fn in_order(set: &Dataset) -> Vec<String> {
    let mut splits: Vec<String> = set.splits.keys().cloned().collect();
    splits.sort_by_key(|split| match split.as_str() {
        "test" => 0,
        "val" => 1,
        "train" => 3,
        _ => 2,
    });
    splits
}

impl Found {
    /// Adds an image that equals an earlier one.
    fn add(&mut self, set: &Dataset, place: Place, before: Place) {
        let Place { split, sample, .. } = place;
        if let Some(repeated) = self.repeated.get_mut(split) {
            repeated[place.index] = true;
        }
        let example =
            || format!("{} = {}", set.location(sample), set.location(before.sample));
        if before.split == split {
            self.within.entry(split.to_owned()).or_default().add(example);
        } else {
            let key = (split.to_owned(), before.split.to_owned());
            self.across.entry(key).or_default().add(example);
        }
        if before.sample.label != sample.label {
            self.two_labels.insert(place.hash);
            let class = |sample: Sample| &set.classes[sample.label as usize];
            self.conflicting.add(|| {
                format!(
                    "{} ({}) = {} ({})",
                    set.location(sample),
                    class(sample),
                    set.location(before.sample),
                    class(before.sample)
                )
            });
        }
    }

    fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        for ((split, other), group) in &self.across {
            let are = if group.count == 1 { "is" } else { "are" };
            messages.push(format!(
                "{} of {split} {are} also in {other}: {}",
                group.images(),
                group.examples()
            ));
        }
        for (split, group) in &self.within {
            let copies = if group.count == 1 {
                "is a copy of another"
            } else {
                "are copies of others"
            };
            messages.push(format!(
                "{} of {split} {copies} in it: {}",
                group.images(),
                group.examples()
            ));
        }
        if self.conflicting.count > 0 {
            let have = if self.conflicting.count == 1 { "has" } else { "have" };
            messages.push(format!(
                "{} {have} another label elsewhere: {}",
                self.conflicting.images(),
                self.conflicting.examples()
            ));
        }
        messages
    }
}

fn leave_out(set: &mut Dataset, contents: &mut Contents, found: &Found) {
    for (split, samples) in &mut set.splits {
        let (Some(contents), Some(repeated)) =
            (contents.get_mut(split), found.repeated.get(split))
        else {
            continue;
        };
        let mut kept = Vec::with_capacity(contents.len());
        for (content, is_repeated) in contents.iter().zip(repeated) {
            let has_two_labels =
                content.is_some_and(|content| found.two_labels.contains(&content.hash));
            kept.push(!is_repeated && !has_two_labels);
        }
        retain(samples, &kept);
        retain(contents, &kept);
    }
}

fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next() == Some(&true));
}
