//! Lines of paths, labels and splits, as `prep -` reads them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::Dataset;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(set) =
        Dataset::from_lines(&mut &bytes[..], "standard input", Path::new("/nowhere"))
    {
        let mut samples = set.splits.values().flatten();
        assert!(samples.all(|sample| (sample.label as usize) < set.classes.len()));
    }
});
