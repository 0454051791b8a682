//! Duplicate images, in one split or in several.

use std::fs;
use std::path::Path;

use torchmill_testing::{Sandbox, write_pets};

use crate::{fail, printed, shards, succeed};

/// Pets with a copy of train's first cat among the test cats.
fn leaking_pets(folder: &Path) {
    write_pets(folder);
    copy(folder, "train/cat/0.ppm", "test/cat/copy.ppm");
}

fn copy(folder: &Path, from: &str, to: &str) {
    let pets = folder.join("pets");
    fs::copy(pets.join(from), pets.join(to)).unwrap();
}

fn sources(folder: &Path, split: &str) -> Vec<String> {
    let set = shards(folder, split);
    (0..set.len()).map(|i| set.source(i).unwrap()).collect()
}

#[test]
fn training_images_among_the_test_images_are_said() {
    let dir = Sandbox::new();
    leaking_pets(dir.path());
    let said = succeed(dir.path(), &["pets", "-o", "out"]);
    let expected = "note: 1 image of train is also in test: \
                    pets/train/cat/0.ppm = pets/test/cat/copy.ppm";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("--duplicates drop leaves them out"), "{said}");
    assert_eq!(shards(dir.path(), "train").len(), 6);
    // Writing one split looks at the others too.
    let said = succeed(dir.path(), &["pets", "-o", "out", "--split", "train"]);
    assert!(said.contains(expected), "{said}");
}

#[test]
fn images_without_copies_are_not_mentioned() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let said = succeed(dir.path(), &["pets", "-o", "out", "--duplicates", "error"]);
    assert!(!said.contains("also in") && !said.contains("duplicates"), "{said}");
}

#[test]
fn duplicates_can_be_refused() {
    let dir = Sandbox::new();
    leaking_pets(dir.path());
    let arguments = ["pets", "-o", "out", "--duplicates", "error"];
    fail(dir.path(), &arguments, 1, "1 image of train is also in test");
}

#[test]
fn a_dropped_image_stays_in_the_test_split() {
    let dir = Sandbox::new();
    leaking_pets(dir.path());
    copy(dir.path(), "train/dog/1.ppm", "train/dog/again.ppm");
    let said = succeed(dir.path(), &["pets", "-o", "out", "--duplicates", "drop"]);
    assert!(said.contains("left out: 1 image of train is also in test"), "{said}");
    assert!(
        said.contains("left out: 1 image of train is a copy of another in it"),
        "{said}"
    );
    let train = sources(dir.path(), "train");
    let expected = ["cat/1", "cat/2", "dog/0", "dog/1", "dog/2"];
    assert_eq!(train, expected.map(|name| format!("train/{name}.ppm")));
    assert!(sources(dir.path(), "test").contains(&"test/cat/copy.ppm".to_owned()));
}

#[test]
fn one_image_with_two_labels_is_named_and_dropped_everywhere() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    copy(dir.path(), "train/cat/0.ppm", "train/dog/cat.ppm");
    let said = succeed(dir.path(), &["pets", "-o", "out"]);
    let expected = "1 image has another label elsewhere: \
                    pets/train/dog/cat.ppm (dog) = pets/train/cat/0.ppm (cat)";
    assert!(said.contains(expected), "{said}");
    succeed(dir.path(), &["pets", "-o", "out", "--duplicates", "drop"]);
    let train = sources(dir.path(), "train");
    assert_eq!(train.len(), 5);
    assert!(
        !train.iter().any(|s| s.ends_with("cat/0.ppm") || s.ends_with("dog/cat.ppm"))
    );
}

#[test]
fn records_of_binary_files_are_compared_too() {
    let dir = Sandbox::new();
    torchmill_testing::write_cifar10(&dir.join("cifar"), 2);
    let test = dir.path().join("cifar/test_batch.bin");
    let first = fs::read(dir.path().join("cifar/data_batch_1.bin")).unwrap();
    fs::write(&test, first).unwrap();
    let said = succeed(dir.path(), &["cifar", "-o", "out"]);
    assert!(said.contains("note: 2 images of train are also in test"), "{said}");
}

#[test]
fn a_stream_looks_for_duplicates_when_asked() {
    let dir = Sandbox::new();
    leaking_pets(dir.path());
    let arguments = [
        "pets",
        "--split",
        "train",
        "-o",
        "-",
        "--format",
        "csv",
        "--duplicates",
        "drop",
    ];
    let rows = String::from_utf8(printed(dir.path(), &arguments)).unwrap();
    assert_eq!(rows.lines().count(), 1 + 5);
}
