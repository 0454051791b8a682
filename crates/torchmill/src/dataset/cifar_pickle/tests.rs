//! Pickles that Python wrote (tests/golden/cifar_pickle.py).

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/cifar_pickle.safetensors");

fn golden(name: &str) -> Vec<u8> {
    SafeTensors::deserialize(GOLDEN).unwrap().tensor(name).unwrap().data().to_vec()
}

/// Writes the Python version, pickled as `kind`, to `folder/sub`.
fn write(folder: &Path, sub: &str, kind: &str) {
    let at = folder.join(sub);
    fs::create_dir_all(&at).unwrap();
    let files: &[&str] = if kind.starts_with("cifar100") {
        fs::write(at.join("meta"), golden("meta")).unwrap();
        &["train", "test"]
    } else {
        fs::write(at.join("batches.meta"), golden("batches.meta")).unwrap();
        &[
            "data_batch_1",
            "data_batch_2",
            "data_batch_3",
            "data_batch_4",
            "data_batch_5",
            "test_batch",
        ]
    };
    for file in files {
        fs::write(at.join(file), golden(kind)).unwrap();
    }
}

/// The pixels of image `i`, channels last, as numpy would arrange them.
fn pixels(i: usize) -> Vec<u8> {
    let planar = &golden("pixels")[i * 3072..][..3072];
    (0..1024).flat_map(|at| [planar[at], planar[1024 + at], planar[2048 + at]]).collect()
}

#[test]
fn the_published_form_and_python3s_are_read() {
    for kind in ["python2", "protocol3", "protocol4", "protocol5"] {
        for sub in ["", "cifar-10-batches-py"] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), sub, &format!("cifar10 {kind}"));
            let set = Dataset::open(folder.path()).unwrap();
            assert_eq!(
                (set.name.as_str(), set.classes.join(" ")),
                ("cifar10", "cat dog".into())
            );
            let train = &set.splits["train"];
            let labels: Vec<u32> = train.iter().map(|s| s.label).collect();
            assert_eq!(labels, [1, 0, 1].repeat(5));
            assert_eq!(set.image(train[4]).unwrap().pixels, pixels(1));
            let source = Path::new(sub).join("data_batch_2:1");
            assert_eq!(set.source(train[4]), source.display().to_string());
            assert_eq!(set.splits["test"].len(), 3);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cifar-100-python", "cifar100 python2");
    let set = Dataset::open(folder.path()).unwrap();
    assert_eq!(set.classes, ["apple", "baby", "bear"]);
    let labels: Vec<u32> = set.splits["test"].iter().map(|s| s.label).collect();
    assert_eq!(labels, [2, 0, 1]);
}

#[test]
fn pixels_that_were_encoded_as_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "", "cifar10 protocol2");
    let error = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("test_batch: has no array `data` of bytes"), "{error}");
}

#[test]
fn damage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "", "cifar10 python2");
    let path = folder.path().join("data_batch_3");
    let whole = golden("cifar10 python2");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("data_batch_3: is not a pickle"), "{error}");
    // A label beyond the two classes.
    let mut wrong = whole.clone();
    let labels = whole.windows(6).position(|w| w == b"labels").unwrap();
    let first = labels + whole[labels..].windows(2).position(|w| w == b"K\x01").unwrap();
    wrong[first + 1] = 2;
    fs::write(&path, &wrong).unwrap();
    let error = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("label 0 is not one of the 2 classes"), "{error}");
}
