//! Files of Hugging Face's datasets and of pyarrow: see tests/golden/parquet.py.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::dataset::UNSPLIT;

fn golden(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/parquet");
    Path::new(folder).join(name)
}

fn open(name: &str, columns: &str) -> Result<Dataset> {
    let columns =
        if columns.is_empty() { Ok(Default::default()) } else { columns.parse() };
    let options = OpenOptions { columns: columns?, ..OpenOptions::default() };
    Dataset::from_parquet("set", &[golden(name)], &options)
}

/// Checks that each image is the one of its row: (row, label, 7).
fn check_images(set: &Dataset, split: &str, count: usize) {
    let samples = &set.splits[split];
    assert_eq!(samples.len(), count);
    for (row, &sample) in samples.iter().enumerate() {
        let image = set.image(sample).unwrap();
        assert_eq!(image.pixels, [row as u8, (row * 2 % 3) as u8, 7]);
    }
}

#[test]
fn hugging_faces_columns_are_found_by_their_description() {
    let set = open("huggingface.parquet", "").unwrap();
    assert_eq!(set.classes, ["cat", "dog", "owl"]);
    check_images(&set, UNSPLIT, 150);
    for (row, sample) in set.splits[UNSPLIT].iter().enumerate() {
        assert_eq!(sample.label as usize, row * 2 % 3);
    }
    let last = set.splits[UNSPLIT][149];
    assert_eq!(set.source(last), "huggingface.parquet:149");
    assert!(set.location(last).ends_with("huggingface.parquet, row 149"));
}

#[test]
fn columns_without_a_description_are_found_by_their_names() {
    let set = open("plain.parquet", "").unwrap();
    assert_eq!(set.classes, ["cat", "dog", "owl"]);
    check_images(&set, UNSPLIT, 70);
    assert_eq!(open("gzip.parquet", "").unwrap().classes, ["0", "1", "2"]);
}

#[test]
fn two_columns_of_classes_need_a_choice() {
    let error = open("two_labels.parquet", "").unwrap_err().to_string();
    assert!(
        error.contains("fine_label, coarse_label may all hold the labels"),
        "{error}"
    );
    let set = open("two_labels.parquet", "label=fine_label").unwrap();
    assert_eq!(set.classes.len(), 3);
    let set = open("two_labels.parquet", "label=coarse_label").unwrap();
    assert_eq!(set.classes, ["all"]);
}

#[test]
fn files_named_after_splits_are_splits() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"];
    let mut files = Vec::new();
    for name in [names[0], names[1], "validation-00000-of-00001.parquet"] {
        files.push(folder.path().join(name));
        fs::copy(golden("huggingface.parquet"), files.last().unwrap()).unwrap();
    }
    let set = Dataset::from_parquet("set", &files, &OpenOptions::default()).unwrap();
    assert_eq!(set.splits["train"].len(), 300);
    check_images(&set, "test", 150);
    // Files are also found in a folder.
    let found = Dataset::open(folder.path()).unwrap();
    assert_eq!(found.splits["train"].len(), 300);
    check_images(&found, "test", 150);
}

#[test]
fn a_null_image_is_an_error_only_when_it_is_read() {
    let set = open("nulls.parquet", "").unwrap();
    let samples = &set.splits[UNSPLIT];
    assert!(set.image(samples[0]).is_ok());
    let error = set.image(samples[1]).unwrap_err().to_string();
    assert!(error.contains("nulls.parquet, row 1: is empty"), "{error}");
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (name, columns, message) in [
        ("other.parquet", "", "no column is known to hold the images"),
        (
            "other.parquet",
            "",
            "its columns are text, stars: name it with --columns image=",
        ),
        (
            "other.parquet",
            "image=txt",
            "no column `txt`, only text, stars (did you mean text?)",
        ),
        ("other.parquet", "image=stars", "`stars` cannot be that of the images"),
        ("plain.parquet", "split=label", "--columns split=NAME is for lists"),
        ("lists.parquet", "", "no column is known to hold the images"),
        ("withheld.parquet", "", "row 1: the label -1 is not that of a class"),
        ("no_label.parquet", "", "row 1: has no label"),
        ("brotli.parquet", "", "cannot be read as Parquet"),
    ] {
        let error = open(name, columns).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(name), "{name}: {error}");
    }
    // A number larger than any number of classes is a name.
    assert_eq!(open("beyond.parquet", "").unwrap().classes, ["0", "200000"]);
}

#[test]
fn labels_beyond_known_classes_are_refused() {
    let options = OpenOptions::default();
    let parts = Part::list(&[golden("gzip.parquet")], &options).unwrap();
    let classes = ["a".to_owned(), "b".to_owned()];
    let error = read("set", &parts, &classes, &options).unwrap_err().to_string();
    assert!(error.contains("row 1: the label 2 is beyond the 2 classes"), "{error}");
}

#[test]
fn what_is_not_parquet_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for (bytes, message) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "Git LFS pointer"),
        (b"", "is not a Parquet file"),
        (b"PAR1 and then something else", "cannot be read as Parquet"),
    ] {
        fs::write(&path, bytes).unwrap();
        let files = std::slice::from_ref(&path);
        let error = Dataset::from_parquet("set", files, &OpenOptions::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A damaged file is refused, or read with other images: it never ends the program.
    #[test]
    fn damage_never_panics(at in 4..1800_usize, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = fs::read(golden("plain.parquet")).unwrap();
        let at = at.min(bytes.len() - 1);
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        fs::write(&path, bytes).unwrap();
        if let Ok(set) = Dataset::from_parquet("set", &[path], &OpenOptions::default()) {
            for sample in set.splits.values().flatten() {
                let _ = set.image(*sample);
            }
        }
    }
}
