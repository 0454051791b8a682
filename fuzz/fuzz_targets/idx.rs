//! An IDX data set: the first two bytes say how many of those after them are the images'
//! file.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::{Dataset, Manifest, OpenOptions, RawFormat, SourceFolder};

fuzz_target!(|bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let (images, labels) =
        bytes.split_at(usize::from(u16::from_le_bytes(*length)).min(bytes.len()));
    let Ok(folder) = tempfile::tempdir() else { return };
    let write = |name: &str, bytes| fs::write(folder.path().join(name), bytes).is_ok();
    if !write("images", images) || !write("labels", labels) {
        return;
    }
    let manifest = Manifest {
        name: "fuzz".into(),
        format: RawFormat::Idx,
        classes: (0..10).map(|class| class.to_string()).collect(),
        description: String::new(),
        source: String::new(),
        verified: false,
        licence: String::new(),
        splits: [("train".into(), vec!["images".into(), "labels".into()])].into(),
        checksums: Default::default(),
    };
    let source = SourceFolder::new(folder.path());
    let options = OpenOptions::default();
    let Ok(set) = Dataset::open_as(&source, &manifest, &options) else { return };
    for sample in &set.splits["train"] {
        assert!((sample.label as usize) < set.classes.len());
        let image = set.image(*sample).unwrap();
        assert_eq!(image.pixels.len(), image.width * image.height * image.channels);
    }
});
