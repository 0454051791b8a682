//! Images that are damaged and that PIL reads anyway.

use std::fs;
use std::path::Path;

use torchmill_testing::Sandbox;

use crate::{fail, run, shards, succeed};

/// A JPEG of 32 x 32 pixels of noise.
fn jpeg(seed: usize) -> Vec<u8> {
    let pixels: Vec<u8> =
        (0..32 * 32 * 3).map(|i| (i * i * 31 + i * seed) as u8).collect();
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode(&pixels, 32, 32, image::ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// The same file without the second half of its pixels, but with its end.
fn with_early_end(jpeg: &[u8]) -> Vec<u8> {
    let end = jpeg.len() - 2;
    [&jpeg[..end - (end - 600) / 2], &jpeg[end..]].concat()
}

/// Eight intact JPEGs in two classes, and a damaged one for each name in `damaged`.
fn write_images(folder: &Path, damaged: &[&str]) {
    for class in ["cat", "dog"] {
        fs::create_dir_all(folder.join("pets").join(class)).unwrap();
        for i in 0..4 {
            let name = format!("{class}/{i}.jpg");
            let mut bytes = jpeg(i + class.len());
            if damaged.contains(&name.as_str()) {
                bytes = with_early_end(&bytes);
            }
            fs::write(folder.join("pets").join(name), bytes).unwrap();
        }
    }
}

#[test]
fn damaged_images_are_read_and_named_at_the_end() {
    let dir = Sandbox::new();
    write_images(dir.path(), &["cat/0.jpg", "cat/2.jpg", "dog/1.jpg", "dog/3.jpg"]);
    let said = succeed(dir.path(), &["pets", "-o", "out"]);
    let last = said.lines().last().unwrap();
    let expected = "note: train: 4 images are damaged and were read as PIL reads such \
                    files: pets/cat/0.jpg (";
    assert!(last.starts_with(expected), "{said}");
    assert!(last.contains("premature end"), "{said}");
    assert!(last.contains("), pets/cat/2.jpg (") && !last.contains("dog/3"), "{said}");
    assert!(last.ends_with(", ...; --strict refuses them"), "{said}");
    assert_eq!(shards(dir.path(), "train").len(), 8);
    // Nothing is decoded again, so no warning is repeated.
    let said = succeed(dir.path(), &["pets", "-o", "out"]);
    assert!(!said.contains("damaged") && said.contains("up to date"), "{said}");
    let said = succeed(dir.path(), &["pets", "--stats"]);
    assert!(said.contains("4 images are damaged"), "{said}");
}

/// Only a few rows and columns are decoded, but all of a file is read.
#[test]
fn damage_outside_of_a_crop_is_found() {
    let dir = Sandbox::new();
    write_images(dir.path(), &["cat/2.jpg"]);
    let small = ["pets", "-o", "out", "--transform", "Resize(30) | CenterCrop((2, 3))"];
    let prep = |more: &[&'static str]| [&small, more].concat();
    let why = "pets/cat/2.jpg: is damaged (";
    fail(dir.path(), &prep(&["--strict"]), 1, why);
    let said = succeed(dir.path(), &prep(&[]));
    assert!(said.contains("1 image is damaged"), "{said}");
    fs::remove_dir_all(dir.path().join("out")).unwrap();
    // A file that is cut short within its last row of blocks.
    let mut bytes = jpeg(1);
    bytes.truncate(bytes.len() - 20);
    fs::write(dir.path().join("pets/dog/1.jpg"), bytes).unwrap();
    let why = "pets/dog/1.jpg: cannot be decoded as JPEG, it is damaged or truncated: the \
               file ends before its image data does; --skip-bad FILE leaves out such images";
    fail(dir.path(), &prep(&[]), 1, why);
    let said = succeed(dir.path(), &prep(&["--skip-bad", "bad.tsv"]));
    assert!(said.contains("1 bad image was left out and listed in bad.tsv"), "{said}");
    let list = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
    assert!(list.starts_with("pets/dog/1.jpg\tcannot be decoded"), "{list}");
}

#[test]
fn sound_images_have_no_warnings() {
    let dir = Sandbox::new();
    write_images(dir.path(), &[]);
    let said = succeed(dir.path(), &["pets", "-o", "out", "--strict"]);
    assert!(!said.contains("damaged"), "{said}");
}

#[test]
fn strict_refuses_damaged_images() {
    let dir = Sandbox::new();
    write_images(dir.path(), &["cat/2.jpg"]);
    let why = "pets/cat/2.jpg: is damaged (";
    fail(dir.path(), &["pets", "-o", "out", "--strict"], 1, why);
    // Shards that were made without --strict do not count as strict ones.
    succeed(dir.path(), &["pets", "-o", "lenient"]);
    let output = run(dir.path(), &["pets", "-o", "lenient", "--strict"]);
    assert_eq!(output.status.code(), Some(1));
    let skip = ["pets", "-o", "out", "--strict", "--skip-bad", "bad.tsv"];
    let said = succeed(dir.path(), &skip);
    assert!(said.contains("1 bad image was left out"), "{said}");
    assert!(!said.contains("read as PIL reads"), "{said}");
    assert_eq!(shards(dir.path(), "train").len(), 7);
    let list = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
    assert!(list.starts_with("pets/cat/2.jpg\tis damaged ("), "{list}");
    assert_eq!(list.lines().count(), 1, "{list}");
    // The rerun finds its own work, and lists the same image.
    let said = succeed(dir.path(), &skip);
    assert!(said.contains("up to date"), "{said}");
    assert_eq!(fs::read_to_string(dir.path().join("bad.tsv")).unwrap(), list);
}
