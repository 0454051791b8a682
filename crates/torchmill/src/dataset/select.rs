//! Selecting samples of a data set: classes by name, a test split, a limit.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Dataset, Sample};
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// The name of the only split of a data set that comes without splits.
pub const UNSPLIT: &str = "all";

impl Dataset {
    /// Splits a data set that has only one split into `train` and `test`: the same
    /// `fraction` of each class, rounded, goes to `test`, but never a whole class. The
    /// choice depends only on `seed` and the images' names, so an image stays in its
    /// split when others are added. With a fraction of 0 everything is `train`.
    ///
    /// Fails if one of the two would be empty.
    pub fn split(&mut self, fraction: f64, seed: u64) -> Result<()> {
        let Some(samples) = self.take_unsplit() else { return Ok(()) };
        let is_test = self.draw_test(&samples, fraction, seed);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (sample, is_test) in samples.iter().zip(is_test) {
            if is_test { &mut test } else { &mut train }.push(*sample);
        }
        let failed = |why: &str| {
            Error::usage(format_args!(
                "a test fraction of {fraction} of {}'s {} images, class by class, {why}",
                self.name,
                samples.len()
            ))
        };
        if train.is_empty() {
            return Err(failed("leaves none to train with: use a smaller one"));
        }
        if test.is_empty() && fraction > 0.0 {
            return Err(failed("is less than one image: use a larger one"));
        }
        self.set_splits(train, test);
        Ok(())
    }

    /// Whether each sample goes to the test split.
    fn draw_test(&self, samples: &[Sample], fraction: f64, seed: u64) -> Vec<bool> {
        let mut is_test = vec![false; samples.len()];
        if fraction <= 0.0 {
            return is_test;
        }
        let mut by_class: BTreeMap<u32, Vec<([u8; 32], usize)>> = BTreeMap::new();
        for (i, &sample) in samples.iter().enumerate() {
            let key = rank(seed, &self.source(sample));
            by_class.entry(sample.label).or_default().push((key, i));
        }
        let share = |count: usize| (count as f64 * fraction).round() as usize;
        let is_all =
            by_class.values().all(|members| share(members.len()) >= members.len());
        for members in by_class.values_mut() {
            members.sort_unstable();
            // A class keeps an image to train with, unless no class does: an error.
            let most = if is_all { members.len() } else { members.len() - 1 };
            for (_, i) in members.iter().take(share(members.len()).min(most)) {
                is_test[*i] = true;
            }
        }
        is_test
    }

    /// Removes and returns the samples that come without a test split.
    fn take_unsplit(&mut self) -> Option<Vec<Sample>> {
        self.splits.remove(UNSPLIT).or_else(|| self.splits.remove("train"))
    }

    fn set_splits(&mut self, train: Vec<Sample>, test: Vec<Sample>) {
        for (name, samples) in [("train", train), ("test", test)] {
            if !samples.is_empty() {
                self.splits.insert(name.to_owned(), samples);
            }
        }
    }

    /// Splits a data set that has only one split into `train` and `test`, where `test` is
    /// the images whose sources are listed. Fails if a listed image is missing, or if all
    /// are listed.
    pub fn split_by_list(&mut self, listed: &BTreeSet<&str>) -> Result<()> {
        let Some(samples) = self.take_unsplit() else { return Ok(()) };
        let mut found = BTreeSet::new();
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for sample in samples {
            match listed.get(self.source(sample).as_str()) {
                Some(&source) => {
                    found.insert(source);
                    test.push(sample);
                }
                None => train.push(sample),
            }
        }
        if let Some(missing) = listed.difference(&found).next() {
            return Err(Error::failed(format_args!(
                "lists {missing}, which is not in {}: paths are relative to the input",
                self.name
            )));
        }
        if train.is_empty() {
            return Err(Error::failed(format_args!(
                "lists every image of {}: none is left to train with",
                self.name
            )));
        }
        self.set_splits(train, test);
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

    /// Keeps at most `limit` samples of each split: each class's share, evenly spaced,
    /// and at least one per class if the limit allows it. The order stays the same.
    pub fn limit(&mut self, limit: usize) {
        for samples in self.splits.values_mut() {
            if samples.len() > limit {
                *samples = evenly(samples, limit);
            }
        }
    }
}

/// `limit` of `samples`, each class with its share (see [`Dataset::limit`]).
fn evenly(samples: &[Sample], limit: usize) -> Vec<Sample> {
    let mut by_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, sample) in samples.iter().enumerate() {
        by_class.entry(sample.label).or_default().push(i);
    }
    let counts: Vec<usize> = by_class.values().map(Vec::len).collect();
    let mut kept = Vec::with_capacity(limit);
    for (members, share) in by_class.values().zip(shares(&counts, limit)) {
        for k in 0..share {
            kept.push(
                members[(k as u128 * members.len() as u128 / share as u128) as usize],
            );
        }
    }
    kept.sort_unstable();
    kept.into_iter().map(|i| samples[i]).collect()
}

/// Divides `limit`, which is less than the sum of `counts`, in proportion to `counts`.
/// Shares are rounded down, and the rest goes to the largest remainders; each count gets
/// at least one if there is enough for all.
fn shares(counts: &[usize], limit: usize) -> Vec<usize> {
    let total: usize = counts.iter().sum();
    let product = |count: usize| count as u128 * limit as u128;
    let mut shares: Vec<usize> =
        counts.iter().map(|&count| (product(count) / total as u128) as usize).collect();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(product(counts[i]) % total as u128));
    let rest = limit - shares.iter().sum::<usize>();
    for &i in order.iter().take(rest) {
        shares[i] += 1;
    }
    if limit < counts.len() {
        return shares;
    }
    for i in 0..shares.len() {
        let largest = (0..shares.len()).max_by_key(|&j| shares[j]);
        if shares[i] == 0
            && let Some(largest) = largest
        {
            shares[largest] -= 1;
            shares[i] += 1;
        }
    }
    shares
}

/// A sample's rank in the draw for the test split.
fn rank(seed: u64, source: &str) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(source).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_shared_among_the_classes() {
        assert_eq!(shares(&[8, 2], 5), [4, 1]);
        assert_eq!(shares(&[50, 50], 20), [10, 10]);
        assert_eq!(shares(&[1000, 1, 1], 10), [8, 1, 1]);
        assert_eq!(shares(&[5, 5, 5], 2).iter().sum::<usize>(), 2);
        assert_eq!(shares(&[3, 3, 3], 3), [1, 1, 1]);
    }
}
