//! Several data sets one after the other: torch.utils.data.ConcatDataset, with the
//! classes matched by name.

use std::collections::BTreeSet;

use super::store::Store;
use super::{Dataset, Sample};
use crate::Result;

impl Dataset {
    /// Joins data sets, each split's samples in the order given. Equal class names are
    /// one class. The classes are those of the data set that has them all, in its order;
    /// where none has, all of them sorted.
    ///
    /// Sources get their data set's name as a prefix, `pets/cat/1.jpg`.
    pub fn concat(sets: Vec<Self>) -> Result<Self> {
        if sets.len() == 1 {
            return Ok(sets.into_iter().next().unwrap_or_else(Self::empty));
        }
        let all: BTreeSet<&String> = sets.iter().flat_map(|s| &s.classes).collect();
        let complete = sets.iter().find(|s| s.classes.len() == all.len());
        let classes = complete.map_or_else(
            || all.iter().map(|&c| c.clone()).collect::<Vec<_>>(),
            |s| s.classes.clone(),
        );
        let names: Vec<_> = sets.iter().map(|s| s.name.as_str()).collect();
        let mut joined = Self { name: names.join("+"), classes, ..Self::empty() };
        let prefixes = prefixes(&names);
        for (set, prefix) in sets.into_iter().zip(prefixes) {
            joined.append(set, &prefix)?;
        }
        Ok(joined)
    }

    fn append(&mut self, set: Self, prefix: &str) -> Result<()> {
        let first = self.stores.len() as u32;
        for mut store in set.stores {
            match &mut store {
                Store::Records(records) => {
                    records.name = format!("{prefix}{}", records.name);
                }
                Store::Files(files) => files.prefix = format!("{prefix}{}", files.prefix),
            }
            self.add_store(store)?;
        }
        let label_of = |name: &String| {
            self.classes.iter().position(|c| c == name).unwrap_or_default() as u32
        };
        let labels: Vec<u32> = set.classes.iter().map(label_of).collect();
        for (split, samples) in set.splits {
            let moved = samples.into_iter().map(|s| Sample {
                label: labels[s.label as usize],
                store: first + s.store,
                record: s.record,
            });
            self.splits.entry(split).or_default().extend(moved);
        }
        self.notes.extend(set.notes);
        self.empty.extend(set.empty);
        Ok(())
    }

    fn empty() -> Self {
        Self {
            name: String::new(),
            classes: Vec::new(),
            splits: std::collections::BTreeMap::new(),
            notes: Vec::new(),
            empty: Vec::new(),
            stores: Vec::new(),
        }
    }
}

/// A prefix for each data set's sources: its name, and its number where names repeat.
fn prefixes(names: &[&str]) -> Vec<String> {
    let repeated = |name: &str| names.iter().filter(|&&n| n == name).count() > 1;
    let prefix = |(i, name): (usize, &&str)| match repeated(name) {
        true => format!("{name}-{}/", i + 1),
        false => format!("{name}/"),
    };
    names.iter().enumerate().map(prefix).collect()
}
