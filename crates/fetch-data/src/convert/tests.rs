use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (raw, target) = (folder.path().join("raw"), folder.path().join("target"));
    fs::create_dir(&raw).unwrap();
    fs::create_dir(&target).unwrap();
    (folder, raw, target)
}

/// Printed by tests/golden/make.py.
const SVHN: &str = "117ba249f18bfa5796c96c29e9005d342b1605a1c3e6478559c77a33b7ed4cf2";
const STL10: &str = "ca90214856f7f4f4caf3b4ff543e681548f989e62ae3cff5c2eab7b53aa29f21";

#[test]
fn svhn_is_as_torchvision_arranges_it() {
    let (_folder, raw, target) = folders();
    assert!(!svhn(&raw, Transfer::Move, &target).unwrap());
    let mat = include_bytes!("../../tests/golden/svhn.mat");
    put(&raw, "train_32x32.mat", mat);
    put(&raw, "test_32x32.mat", mat);
    assert!(svhn(&raw, Transfer::Move, &target).unwrap());
    let records = fs::read(target.join("train.bin")).unwrap();
    assert_eq!(records.len(), 5 * 3073);
    assert_eq!(sha256(&records), SVHN);
    for bad in [&b""[..], b"no MATLAB", &mat[..mat.len() / 2]] {
        put(&raw, "test_32x32.mat", bad);
        let message = svhn(&raw, Transfer::Move, &target).unwrap_err().to_string();
        assert!(message.contains("test_32x32.mat"), "{message}");
    }
}

fn stl10_raw(raw: &Path, labels: &[u8]) {
    let image: Vec<u8> = (0..3 * 96 * 96).map(|i| (i * 7 % 251) as u8).collect();
    for split in ["train", "test"] {
        put(raw, &format!("stl10_binary/{split}_X.bin"), &image.repeat(2));
        put(raw, &format!("stl10_binary/{split}_y.bin"), labels);
    }
}

#[test]
fn stl10_is_as_torchvision_arranges_it() {
    let (_folder, raw, target) = folders();
    assert!(!stl10(&raw, Transfer::Move, &target).unwrap());
    stl10_raw(&raw, &[10, 3]);
    assert!(stl10(&raw, Transfer::Move, &target).unwrap());
    let image = image::open(target.join("test/truck/0000.png")).unwrap();
    assert_eq!((image.width(), image.height()), (96, 96));
    assert_eq!(sha256(image.as_rgb8().unwrap()), STL10);
    assert!(target.join("train/car/0001.png").is_file());
}

#[test]
fn stl10_must_be_whole() {
    for labels in [&[1, 2, 3][..], &[1, 11], &[0, 1], &[]] {
        let (_folder, raw, target) = folders();
        stl10_raw(&raw, labels);
        stl10(&raw, Transfer::Move, &target).unwrap_err();
    }
}

#[test]
fn folders_get_the_names_of_their_classes() {
    for how in [Transfer::Move, Transfer::Copy] {
        let (_folder, raw, target) = folders();
        assert!(!imagenet_subset(classes::IMAGENETTE, &raw, how, &target).unwrap());
        for (number, _) in classes::IMAGENETTE {
            put(&raw, &format!("imagenette2-160/train/{number}/{number}_1.JPEG"), b"x");
            put(&raw, &format!("imagenette2-160/val/{number}/{number}_2.JPEG"), b"x");
        }
        assert!(imagenet_subset(classes::IMAGENETTE, &raw, how, &target).unwrap());
        assert!(target.join("train/tench/n01440764_1.JPEG").is_file());
        assert!(target.join("test/golf ball/n03445777_2.JPEG").is_file());
        // The user's files stay where they are.
        assert_eq!(
            raw.join("imagenette2-160/train/n01440764").exists(),
            how == Transfer::Copy
        );
    }
}

#[test]
fn flowers_go_where_the_lists_say() {
    let (labels, sets) = (
        include_bytes!("../../tests/golden/imagelabels.mat"),
        include_bytes!("../../tests/golden/setid.mat"),
    );
    for how in [Transfer::Move, Transfer::Copy] {
        let (_folder, raw, target) = folders();
        assert!(!flowers102(&raw, how, &target).unwrap());
        put(&raw, "imagelabels.mat", labels);
        put(&raw, "setid.mat", sets);
        for number in 1..=306 {
            put(
                &raw,
                &format!("jpg/image_{number:05}.jpg"),
                number.to_string().as_bytes(),
            );
        }
        assert!(flowers102(&raw, how, &target).unwrap());
        // Image 1 has the class 0 * 5 % 102 + 1, image 104 has 103 * 5 % 102 + 1 = 6.
        assert_eq!(
            fs::read(target.join("test/pink primrose/image_00001.jpg")).unwrap(),
            b"1"
        );
        assert_eq!(
            fs::read(target.join("train/tiger lily/image_00104.jpg")).unwrap(),
            b"104"
        );
        for split in ["train", "val", "test"] {
            assert_eq!(fs::read_dir(target.join(split)).unwrap().count(), 102);
        }
        assert_eq!(raw.join("jpg/image_00001.jpg").exists(), how == Transfer::Copy);
    }
    let (_folder, raw, target) = folders();
    put(&raw, "jpg/image_00001.jpg", b"x");
    put(&raw, "setid.mat", sets);
    for bad in [&b"no MATLAB"[..], sets] {
        put(&raw, "imagelabels.mat", bad);
        let message = flowers102(&raw, Transfer::Move, &target).unwrap_err().to_string();
        assert!(message.contains("imagelabels.mat"), "{message}");
    }
}

#[test]
fn caltech_is_unpacked_twice_and_its_background_left_out() {
    let mut inner = tar::Builder::new(Vec::new());
    for class in classes::CALTECH101.iter().chain([&"BACKGROUND_Google"]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        let name = format!("101_ObjectCategories/{class}/image_0001.jpg");
        inner.append_data(&mut header, name, &b"x"[..]).unwrap();
    }
    let mut packer =
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&inner.into_inner().unwrap()).unwrap();
    let (_folder, raw, target) = folders();
    assert!(!caltech101(&raw, Transfer::Move, &target).unwrap());
    put(&raw, "caltech-101/101_ObjectCategories.tar.gz", &packer.finish().unwrap());
    put(&raw, "caltech-101/Annotations.tar", b"outlines");
    assert!(caltech101(&raw, Transfer::Move, &target).unwrap());
    assert_eq!(fs::read_dir(&target).unwrap().count(), 101);
    assert!(target.join("yin_yang/image_0001.jpg").is_file());
    // What others have unpacked already, with and without the outer folder.
    for from in [target.clone(), target.parent().unwrap().to_path_buf()] {
        let again = tempfile::tempdir().unwrap();
        assert!(caltech101(&from, Transfer::Copy, again.path()).unwrap());
        assert!(again.path().join("Faces/image_0001.jpg").is_file());
        assert!(target.join("Faces/image_0001.jpg").is_file());
    }
}

#[test]
fn one_split_comes_out_of_emnists_archive() {
    let (_folder, raw, target) = folders();
    for split in ["letters", "digits"] {
        for part in ["train", "test"] {
            put(
                &raw,
                &format!("gzip/emnist-{split}-{part}-images-idx3-ubyte.gz"),
                b"images",
            );
            put(
                &raw,
                &format!("gzip/emnist-{split}-{part}-labels-idx1-ubyte.gz"),
                b"labels",
            );
        }
    }
    assert!(!emnist("byclass", &raw, Transfer::Move, &target).unwrap());
    assert!(emnist("letters", &raw, Transfer::Move, &target).unwrap());
    let mut names: Vec<_> =
        fs::read_dir(&target).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 4);
    assert_eq!(names[0], "emnist-letters-test-images-idx3-ubyte.gz");
}

proptest! {
    #[test]
    fn no_change_to_a_matlab_file_breaks_it(at in 0..2000usize, value: u8, cut in 0..2000usize) {
        let mut mat = include_bytes!("../../tests/golden/svhn.mat").to_vec();
        let length = mat.len();
        mat[at % length] = value;
        for bytes in [&mat[..], &mat[..cut % length]] {
            let _ = mat::arrays(bytes).and_then(svhn_records).map(Iterator::count);
        }
    }
}
