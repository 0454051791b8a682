//! Which of a data set's samples are taken: classes by name, a part split off for
//! testing, a limit.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Dataset, Sample};
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// The name of the only split of a data set that comes as one heap of images.
pub const UNSPLIT: &str = "all";

impl Dataset {
    /// Makes `train` and `test` of a data set that has only one split: of each class the
    /// same `fraction`, rounded, goes to `test`. Which images do follows from `seed` and
    /// their names alone, so that an image stays in its split when others are added. With
    /// a fraction of 0 everything is `train`.
    ///
    /// Fails where no image is left for one of the two.
    pub fn split(&mut self, fraction: f64, seed: u64) -> Result<()> {
        let Some(samples) =
            self.splits.remove(UNSPLIT).or_else(|| self.splits.remove("train"))
        else {
            return Ok(());
        };
        let mut by_class: BTreeMap<u32, Vec<([u8; 32], usize)>> = BTreeMap::new();
        for (i, &sample) in samples.iter().enumerate() {
            let key =
                if fraction > 0.0 { rank(seed, &self.source(sample)) } else { [0; 32] };
            by_class.entry(sample.label).or_default().push((key, i));
        }
        let mut test = vec![false; samples.len()];
        for members in by_class.values_mut() {
            members.sort_unstable();
            let count = (members.len() as f64 * fraction).round() as usize;
            members.iter().take(count).for_each(|&(_, i)| test[i] = true);
        }
        let pick = |wanted: bool| -> Vec<Sample> {
            samples
                .iter()
                .zip(&test)
                .filter(|&(_, &t)| t == wanted)
                .map(|(&s, _)| s)
                .collect()
        };
        let (test, train) = (pick(true), pick(false));
        let share = |why: &str| {
            let all = samples.len();
            Err(Error::usage(format_args!(
                "a test fraction of {fraction} of {}'s {all} images, class by class, {why}",
                self.name
            )))
        };
        if train.is_empty() {
            return share("leaves none to train with: take a smaller one");
        }
        if test.is_empty() && fraction > 0.0 {
            return share("is not one image: take a larger one");
        }
        for (name, samples) in [("train", train), ("test", test)] {
            if !samples.is_empty() {
                self.splits.insert(name.to_owned(), samples);
            }
        }
        Ok(())
    }

    /// Makes `train` and `test` of a data set that has only one split: `test` is the
    /// images whose sources are listed. Fails where a listed one is not there, or all are
    /// listed.
    pub fn split_by_list(&mut self, test: &BTreeSet<&str>) -> Result<()> {
        let Some(samples) =
            self.splits.remove(UNSPLIT).or_else(|| self.splits.remove("train"))
        else {
            return Ok(());
        };
        let mut found = BTreeSet::new();
        let (mut in_test, mut in_train) = (Vec::new(), Vec::new());
        for sample in samples {
            match test.get(self.source(sample).as_str()) {
                Some(&listed) => {
                    found.insert(listed);
                    in_test.push(sample);
                }
                None => in_train.push(sample),
            }
        }
        if let Some(missing) = test.difference(&found).next() {
            return Err(Error::failed(format_args!(
                "lists {missing}, which is not in {}: paths are relative to the input",
                self.name
            )));
        }
        if in_train.is_empty() {
            return Err(Error::failed(format_args!(
                "lists every image of {}: none is left to train with",
                self.name
            )));
        }
        self.splits.insert("train".to_owned(), in_train);
        self.splits.insert("test".to_owned(), in_test);
        self.splits.retain(|_, samples| !samples.is_empty());
        Ok(())
    }

    /// Whether the data set comes without a test split.
    pub fn is_unsplit(&self) -> bool {
        self.splits.len() == 1
            && (self.splits.contains_key(UNSPLIT) || self.splits.contains_key("train"))
    }

    /// Keeps the samples of these classes only; labels follow the order given here.
    pub fn keep_classes(&mut self, wanted: &[String]) -> Result<()> {
        let mut new_label = vec![None; self.classes.len()];
        for (name, label) in wanted.iter().zip(0u32..) {
            let old = self.classes.iter().position(|c| c == name).ok_or_else(|| {
                let hint = did_you_mean(name, self.classes.iter().map(String::as_str));
                Error::usage(format_args!(
                    "there is no class `{name}`, only {}{hint}",
                    self.classes.join(", ")
                ))
            })?;
            if new_label[old].replace(label).is_some() {
                return Err(Error::usage(format_args!(
                    "the class `{name}` is named twice"
                )));
            }
        }
        self.classes = wanted.to_vec();
        for samples in self.splits.values_mut() {
            let renumber = |s: &Sample| {
                new_label[s.label as usize].map(|label| Sample { label, ..*s })
            };
            *samples = samples.iter().filter_map(renumber).collect();
        }
        Ok(())
    }

    /// Keeps at most `limit` samples of each split, evenly spaced, so that data sorted by
    /// class keeps its proportions.
    pub fn limit(&mut self, limit: usize) {
        for samples in self.splits.values_mut() {
            let total = samples.len();
            if total > limit {
                *samples = (0..limit)
                    .map(|i| {
                        samples[(i as u128 * total as u128 / limit as u128) as usize]
                    })
                    .collect();
            }
        }
    }
}

/// Where a sample stands in the draw for the test split.
fn rank(seed: u64, source: &str) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(source).finalize().into()
}
