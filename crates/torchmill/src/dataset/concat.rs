//! Concatenates data sets like torch.utils.data.ConcatDataset, with the classes matched
//! by name.

use std::collections::BTreeSet;

use super::store::Store;
use super::{Dataset, Sample};
use crate::Result;

impl Dataset {
    /// Joins data sets, each split's samples in the given order. Equal class names are
    /// one class. If one data set has all the classes, its order is used; otherwise they
    /// are sorted.
    ///
    /// Sources are prefixed with their data set's name: `pets/cat/1.jpg`.
    pub fn concat(sets: Vec<Self>) -> Result<Self> {
        let sets = match <[Self; 1]>::try_from(sets) {
            Ok([only]) => return Ok(only),
            Err(sets) => sets,
        };
        let all: BTreeSet<&String> = sets.iter().flat_map(|s| &s.classes).collect();
        let complete = sets.iter().find(|s| s.classes.len() == all.len());
        let classes = complete.map_or_else(
            || all.iter().map(|&c| c.clone()).collect::<Vec<_>>(),
            |s| s.classes.clone(),
        );
        let names: Vec<_> = sets.iter().map(|s| s.name.as_str()).collect();
        let mut joined = Self { name: names.join("+"), classes, ..Self::default() };
        let prefixes = prefixes(&names);
        for (set, prefix) in sets.into_iter().zip(prefixes) {
            joined.append(set, &prefix)?;
        }
        Ok(joined)
    }

    fn append(&mut self, set: Self, prefix: &str) -> Result<()> {
        let first = self.next_store()?;
        for mut store in set.stores {
            match &mut store {
                Store::Records(records) => {
                    records.name = format!("{prefix}{}", records.name);
                }
                Store::Files(files) => files.prefix = format!("{prefix}{}", files.prefix),
                Store::Packed(packed) => packed.name = format!("{prefix}{}", packed.name),
            }
            self.stores.push(store);
        }
        let labels: Vec<u32> = set.classes.iter().map(|c| self.label_of(c)).collect();
        for (split, samples) in set.splits {
            let moved = samples.into_iter().map(|s| Sample {
                label: labels[s.label as usize],
                store: first + s.store,
                record: s.record,
            });
            self.splits.entry(split).or_default().extend(moved);
        }
        self.notes.extend(set.notes);
        self.gaps.extend(set.gaps);
        Ok(())
    }

    #[allow(clippy::expect_used, reason = "the classes are those of all data sets")]
    fn label_of(&self, class: &str) -> u32 {
        let label = self.classes.iter().position(|c| c == class);
        label.expect("the joined classes hold every data set's classes") as u32
    }
}

/// A prefix for each data set's sources: its name, with its number if names repeat.
fn prefixes(names: &[&str]) -> Vec<String> {
    let mut prefixes = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let repeats = names.iter().filter(|other| *other == name).count() > 1;
        prefixes.push(match repeats {
            true => format!("{name}-{}/", i + 1),
            false => format!("{name}/"),
        });
    }
    prefixes
}
