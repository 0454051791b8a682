//! A batch of CIFAR's Python version: a pickle.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::{Dataset, Manifest, OpenOptions, RawFormat, SourceFolder};

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    if fs::write(folder.path().join("batch"), bytes).is_err() {
        return;
    }
    let manifest = Manifest {
        name: "fuzz".into(),
        format: RawFormat::CifarPickle,
        classes: (0..10).map(|class: u8| class.to_string()).collect(),
        description: String::new(),
        source: String::new(),
        verified: false,
        licence: String::new(),
        splits: [("train".into(), vec!["batch".into()])].into(),
        checksums: Default::default(),
    };
    let source = SourceFolder::new(folder.path());
    let Ok(set) = Dataset::open_as(&source, &manifest, &OpenOptions::default()) else {
        return;
    };
    for sample in &set.splits["train"] {
        assert!((sample.label as usize) < set.classes.len());
        assert_eq!(set.image(*sample).map(|image| image.pixels.len()).ok(), Some(3072));
    }
});
