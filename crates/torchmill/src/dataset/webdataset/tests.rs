//! Tars as other programs write them, and damaged ones.

use std::fs;

use super::*;
use crate::dataset::UNSPLIT;

/// A tar with these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *contents).unwrap();
    }
    builder.into_inner().unwrap()
}

fn open(tars: &[(&str, Vec<u8>)]) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, bytes) in tars {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        files.push(path);
    }
    let set = Dataset::from_tars("set", &files, &OpenOptions::default());
    // Everything is read while the folder is there.
    set.inspect(|set| {
        for sample in set.splits.values().flatten() {
            assert_eq!(set.encoded(*sample).unwrap().unwrap().len(), 1);
        }
    })
}

/// Each sample of a split: its source, its class and its bytes.
fn samples(set: &Dataset, split: &str) -> Vec<(String, String)> {
    let of = |sample: &Sample| {
        (set.source(*sample), set.classes[sample.label as usize].clone())
    };
    set.splits[split].iter().map(of).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

fn refused(files: &[(&str, &[u8])]) -> String {
    open(&[("a.tar", tar(files))]).unwrap_err().to_string()
}

#[test]
fn images_have_the_labels_of_their_keys() {
    let long = format!("{}/0003.jpg", "long".repeat(60));
    let files: &[(&str, &[u8])] = &[
        ("./0000.jpg", b"a"),
        ("./0000.cls", b"10\n"),
        ("0001.cls", b"0"),
        ("0001.png", b"b"),
        ("0001.seg.png", b"x"),
        ("0001.json", b"{}"),
        ("sub/0001.jpeg", b"c"),
        ("sub/0001.json", br#"{"caption": "?", "label": 2}"#),
        ("0002.input.webp", b"d"),
        ("0002.txt", b" 1 \n"),
        (&long, b"e"),
        ("._0003.jpg", b"x"),
    ];
    let mut files = files.to_vec();
    let label = format!("{}/0003.cls", "long".repeat(60));
    files.push((&label, b"007"));
    let set = open(&[("train-0.tar", tar(&files))]).unwrap();
    let long = format!("train-0.tar/{long}");
    assert_eq!(set.classes.len(), 11);
    assert_eq!(
        samples(&set, "train"),
        [
            pair("train-0.tar/0000.jpg", "10"),
            pair("train-0.tar/0001.png", "0"),
            pair("train-0.tar/sub/0001.jpeg", "2"),
            pair("train-0.tar/0002.input.webp", "1"),
            pair(&long, "7"),
        ]
    );
    assert!(set.notes.is_empty(), "{:?}", set.notes);
}

#[test]
fn several_tars_are_one_data_set_with_splits() {
    let cat = tar(&[("0.jpg", b"a"), ("0.cls", b"cat")]);
    let dog = tar(&[("0.jpg", b"b"), ("0.cls", b"dog")]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    std::io::Write::write_all(&mut packed, &cat).unwrap();
    let tars = [
        ("train-0.tar", dog.clone()),
        ("train-1.tar.gz", packed.finish().unwrap()),
        ("val-0.tar", cat),
    ];
    let set = open(&tars).unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(
        samples(&set, "train"),
        [pair("train-0.tar/0.jpg", "dog"), pair("train-1.tar.gz/0.jpg", "cat")]
    );
    // As with ImageNet, whose test images have no labels.
    assert_eq!(samples(&set, "test"), [pair("val-0.tar/0.jpg", "cat")]);
}

#[test]
fn without_labels_the_folders_are_the_classes() {
    let files: &[(&str, &[u8])] = &[
        ("pets/dog/dog.1.jpg", b"a"),
        ("pets/dog/dog.2.jpg", b"b"),
        ("pets/10/1.jpg", b"c"),
    ];
    let set = open(&[("pets.tar", tar(files))]).unwrap();
    assert_eq!(set.classes, ["10", "dog"]);
    assert_eq!(samples(&set, UNSPLIT).len(), 3);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    for (files, message) in [
        (&[("0.cls", &b"1"[..])][..], "a.tar: 0.cls is a label without an image"),
        (&[("0.npy", b"x"), ("0.cls", b"1")], "arrays, .npy, are not read"),
        (
            &[("0.jpg", b"a"), ("0.cls", b"1"), ("1.jpg", b"b")],
            "a.tar/1.jpg has no label",
        ),
        (&[("0.jpg", b"a"), ("1.cls", b"1")], "1.cls is a label without an image"),
        (&[("0.jpg", b"a")], "0.jpg has no label"),
        (
            &[("0.jpg", b"a"), ("0.png", b"b"), ("0.cls", b"1")],
            "two images have the key 0: 0.jpg and 0.png",
        ),
        (
            &[
                ("0.jpg", b"a"),
                ("0.cls", b"1"),
                ("1.jpg", b"a"),
                ("1.cls", b"1"),
                ("0.jpg", b"a"),
                ("0.cls", b"2"),
            ],
            "two images have the key 0:",
        ),
        (&[("x/0.jpg", b"a"), ("x/1.jpg", b"a"), ("x/0.jpg", b"a")], "the key x/0.jpg"),
        (&[("0.jpg", b"a"), ("0.cls", b" ")], "0.cls: `` is not a label"),
        (&[("0.jpg", b"a"), ("0.cls", b"\xff")], "0.cls is not UTF-8"),
        (&[("0.jpg", b"a"), ("0.json", b"{")], "0.json is not JSON"),
        (&[("0.jpg", b"a"), ("0.cls", b"1"), ("0.cls", b"1")], "0.cls is there twice"),
        (&[("0.txt", b"a")], "holds no images"),
        (&[], "holds no images"),
    ] {
        let error = refused(files);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_damaged_tar_is_refused() {
    let whole = tar(&[("0.cls", b"1"), ("0.jpg", &[7; 3000])]);
    let cut = open(&[("a.tar", whole[..2048].to_vec())]).unwrap_err().to_string();
    assert!(cut.contains("a.tar: is cut short: 0.jpg ends at 4536"), "{cut}");
    let noise = open(&[("a.tar", vec![9; 2000])]).unwrap_err().to_string();
    assert!(noise.contains("cannot be read as a tar"), "{noise}");
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "0.jpg", "/etc/passwd").unwrap();
    let link = open(&[("a.tar", link.into_inner().unwrap())]).unwrap_err().to_string();
    assert!(link.contains("0.jpg is a link or a device"), "{link}");
}

#[test]
fn tars_joined_with_cat_are_read_to_the_end() {
    let first = tar(&[("0.jpg", b"a"), ("0.cls", b"1")]);
    let second = tar(&[("1.jpg", b"b"), ("1.cls", b"0")]);
    let set = open(&[("a.tar", [first, second].concat())]).unwrap();
    let expected = [pair("a.tar/0.jpg", "1"), pair("a.tar/1.jpg", "0")];
    assert_eq!(samples(&set, UNSPLIT), expected);
    assert!(set.notes.is_empty(), "{:?}", set.notes);
}

#[test]
fn a_tar_that_ends_too_early_is_noted() {
    let whole =
        tar(&[("0.jpg", b"a"), ("0.cls", b"1"), ("1.jpg", b"b"), ("1.cls", b"0")]);
    let note = "a.tar has no end: it may be cut short";
    // After a sample, and in the block that holds its last byte.
    for length in [2048, 2000] {
        let set = open(&[("a.tar", whole[..length].to_vec())]).unwrap();
        assert_eq!(samples(&set, UNSPLIT).len(), 1);
        assert!(set.notes.iter().any(|said| said.contains(note)), "{:?}", set.notes);
    }
    let in_a_header = open(&[("a.tar", whole[..2100].to_vec())]);
    let error = in_a_header.unwrap_err().to_string();
    assert!(error.contains("a.tar: cannot be read as a tar"), "{error}");
}

#[test]
fn known_classes_must_hold_every_label() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    fs::write(&path, tar(&[("0.jpg", b"a"), ("0.cls", b"2")])).unwrap();
    let options = OpenOptions::default();
    let parts = Part::list(&[path], &options).unwrap();
    let classes = ["cat".to_owned(), "dog".to_owned()];
    let error = read("set", &parts, &classes, &options).unwrap_err().to_string();
    assert!(error.contains("0.cls: the label 2 is beyond the 2 classes"), "{error}");
}

#[test]
fn classes_with_control_characters_are_refused() {
    let message = refused(&[("a\nb/0.jpg", b"x"), ("c/1.jpg", b"y")]);
    assert!(message.contains("the class `a\\nb` must be renamed"), "{message}");
    assert!(message.contains("a.tar: "), "{message}");
}
