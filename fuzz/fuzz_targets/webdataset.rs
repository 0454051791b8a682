//! A tar of images and their labels, gzipped or not, as `prep` reads it.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use torchmill::dataset::{Dataset, OpenOptions};

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode % 2 == 1 {
        correct_checksums(&mut bytes);
    }
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("train.tar");
    if fs::write(&path, &bytes).is_err() {
        return;
    }
    let Ok(set) = Dataset::from_tars("fuzz", &[path], &OpenOptions::default()) else {
        return;
    };
    assert!(!set.classes.iter().any(|class| class.contains(char::is_control)));
    for sample in set.splits.values().flatten() {
        assert!((sample.label as usize) < set.classes.len());
        match set.encoded(*sample) {
            Some(Ok(image)) => assert!(!image.is_empty()),
            Some(Err(error)) => assert!(error.to_string().contains("is empty"), "{error}"),
            None => panic!("an image in a tar is a file"),
        }
    }
});

/// Gives the headers that follow one another their checksums, which a fuzzer does not
/// guess.
fn correct_checksums(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..136]).unwrap_or("");
        let size = size.trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(size, 8).unwrap_or(0);
        at = at.saturating_add(512).saturating_add(size.next_multiple_of(512));
        if at > bytes.len() {
            return;
        }
    }
}
