//! A batch of CIFAR-10's or CIFAR-100's binary version, as the first byte says.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::{Dataset, Manifest, OpenOptions, RawFormat, SourceFolder};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, batch)) = bytes.split_first() else { return };
    let Ok(folder) = tempfile::tempdir() else { return };
    if fs::write(folder.path().join("batch.bin"), batch).is_err() {
        return;
    }
    let (format, classes) =
        if which & 1 == 0 { (RawFormat::Cifar10, 10) } else { (RawFormat::Cifar100, 100) };
    let manifest = Manifest {
        name: "fuzz".into(),
        format,
        classes: (0..classes).map(|class: u8| class.to_string()).collect(),
        description: String::new(),
        source: String::new(),
        verified: false,
        licence: String::new(),
        splits: [("train".into(), vec!["batch.bin".into()])].into(),
        checksums: Default::default(),
    };
    let source = SourceFolder::new(folder.path());
    let options = OpenOptions::default();
    let Ok(set) = Dataset::open_as(&source, &manifest, &options) else { return };
    let samples = &set.splits["train"];
    assert_eq!(samples.len() * if which & 1 == 0 { 3073 } else { 3074 }, batch.len());
    for sample in samples {
        assert!((sample.label as usize) < set.classes.len());
        assert_eq!(set.image(*sample).map(|image| image.pixels.len()).ok(), Some(3072));
    }
});
