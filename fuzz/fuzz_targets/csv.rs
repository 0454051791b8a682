//! A CSV file with columns path, label and split; a TSV file where the first byte is odd.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::{ColumnNames, Dataset};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join(if which & 1 == 0 { "list.csv" } else { "list.tsv" });
    if fs::write(&path, text).is_err() {
        return;
    }
    if let Ok(set) = Dataset::from_csv(&path, &ColumnNames::default()) {
        let mut samples = set.splits.values().flatten();
        assert!(samples.all(|sample| (sample.label as usize) < set.classes.len()));
    }
});
