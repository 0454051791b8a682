//! Classes without images: a network cannot learn a class that it is not shown, and its
//! accuracy on such a class is unknown.

use std::collections::BTreeMap;

use super::survey::listed;
use super::{Dataset, UNSPLIT};
use crate::{Error, Result};

/// A class folder that is missing or holds no images.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    pub class: String,
    pub split: String,
    /// The folder and what is wrong with it.
    pub reason: String,
}

impl Dataset {
    /// Fails if a class has a folder without images and no image in any split. Notes the
    /// classes that have no images in a split, and a data set with only one class.
    ///
    /// Call it once the classes and the images are chosen. Only the splits `wanted` are
    /// checked, or all if `wanted` is empty.
    pub fn check(&mut self, wanted: &[String]) -> Result<()> {
        let mut gaps = self.gaps.iter().filter(|gap| self.has_no_image_of(&gap.class));
        // A missing class matters most among the training images.
        let is_train = |gap: &&Gap| gap.split == "train";
        if let Some(gap) = gaps.clone().find(is_train).or_else(|| gaps.next()) {
            return Err(Error::failed(format_args!(
                "{}: put some there, or leave the class out with --classes",
                gap.reason
            )));
        }
        let mut notes = Vec::new();
        for split in self.splits.keys() {
            if !wanted.is_empty() && !wanted.contains(split) {
                continue;
            }
            notes.extend(self.missing_classes(split));
        }
        if let [only] = &self.classes[..] {
            notes.push(format!(
                "all images are of one class, `{only}`: a network has nothing to tell \
                 apart, and its accuracy means nothing"
            ));
        }
        self.notes.extend(notes);
        Ok(())
    }

    /// Whether the class belongs to this data set but has no image in any split.
    fn has_no_image_of(&self, class: &str) -> bool {
        let Some(label) = self.classes.iter().position(|c| c == class) else {
            return false;
        };
        !self.splits.values().flatten().any(|sample| sample.label as usize == label)
    }

    fn missing_classes(&self, split: &str) -> Option<String> {
        let mut counts = vec![0_u64; self.classes.len()];
        for sample in &self.splits[split] {
            counts[sample.label as usize] += 1;
        }
        let missing: Vec<&String> = self
            .classes
            .iter()
            .zip(counts)
            .filter(|(_, n)| *n == 0)
            .map(|(c, _)| c)
            .collect();
        let first = missing.first()?;
        let reasons: BTreeMap<&str, &str> = self
            .gaps
            .iter()
            .filter(|gap| gap.split == split)
            .map(|gap| (gap.class.as_str(), gap.reason.as_str()))
            .collect();
        let reason =
            reasons.get(first.as_str()).map_or_else(String::new, |r| format!(" ({r})"));
        let place = if split == UNSPLIT {
            "there are".to_owned()
        } else {
            format!("the split `{split}` has")
        };
        let class = if missing.len() == 1 { "the class" } else { "the classes" };
        Some(format!("{place} no images of {class} {}{reason}", listed(&missing)))
    }
}
