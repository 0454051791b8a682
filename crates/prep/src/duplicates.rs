//! Duplicate images: files or records with the same bytes. A test image that is also a
//! training image makes the accuracy too high, and one image with two labels cannot be
//! learned.

use std::collections::{BTreeMap, HashMap, HashSet};

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

/// Where an image was first seen.
struct First {
    split: String,
    sample: Sample,
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
    let mut first: HashMap<ContentHash, First> = HashMap::new();
    for split in in_order(set) {
        let samples = &set.splits[&split];
        let mut is_repeated = vec![false; samples.len()];
        for (i, (sample, content)) in samples.iter().zip(&contents[&split]).enumerate() {
            let Some(content) = content else { continue };
            let Some(before) = first.get(&content.hash) else {
                first.insert(
                    content.hash,
                    First { split: split.clone(), sample: *sample },
                );
                continue;
            };
            is_repeated[i] = true;
            if before.sample.label != sample.label {
                found.two_labels.insert(content.hash);
            }
            found.add(set, &split, *sample, before);
        }
        found.repeated.insert(split, is_repeated);
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
    fn add(&mut self, set: &Dataset, split: &str, sample: Sample, before: &First) {
        let example =
            || format!("{} = {}", set.location(sample), set.location(before.sample));
        if before.split == split {
            self.within.entry(split.to_owned()).or_default().add(example);
        } else {
            let key = (split.to_owned(), before.split.clone());
            self.across.entry(key).or_default().add(example);
        }
        if before.sample.label != sample.label {
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
