use super::*;
use crate::catalogue;

/// [`super::find`] in a folder, without options.
fn find(folder: &Path, entry: Option<&Entry>, published: bool) -> Result<Layout> {
    super::find(&SourceFolder::new(folder), entry, published, &OpenOptions::default())
}

use std::io::Write;

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn cifar(folder: &Path, base: &str, records: usize) {
    for name in [1, 2, 3, 4, 5].map(|i| format!("data_batch_{i}.bin")) {
        put(folder, &format!("{base}{name}"), &vec![0; records * 3073]);
    }
    put(folder, &format!("{base}test_batch.bin"), &vec![0; 3073]);
    put(folder, &format!("{base}batches.meta.txt"), b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
}

fn idx(dims: &[u32], items: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| bytes.extend_from_slice(&d.to_be_bytes()));
    bytes.extend_from_slice(items);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A small MNIST with the usual file names, ending in `suffix`.
fn mnist(folder: &Path, base: &str, suffix: &str) {
    for (split, count) in [("train", 3u32), ("t10k", 2)] {
        let pack = |bytes: Vec<u8>| if suffix == ".gz" { gzip(&bytes) } else { bytes };
        let pixels = vec![9; count as usize * 20];
        put(
            folder,
            &format!("{base}{split}-images-idx3-ubyte{suffix}"),
            &pack(idx(&[count, 4, 5], &pixels)),
        );
        let labels = [0, 6, 1];
        let labels = idx(&[count], &labels[..count as usize]);
        put(folder, &format!("{base}{split}-labels-idx1-ubyte{suffix}"), &pack(labels));
    }
}

fn fails(folder: &Path, entry: Option<&str>, published: bool) -> String {
    find(folder, entry.and_then(catalogue::find), published).unwrap_err().to_string()
}

#[test]
fn cifar_is_found_where_archives_put_it() {
    for base in ["", "cifar-10-batches-bin/"] {
        let folder = tempfile::tempdir().unwrap();
        cifar(folder.path(), base, 2);
        put(folder.path(), &format!("{base}readme.html"), b"");
        for entry in [catalogue::find("cifar10"), None] {
            let layout = find(folder.path(), entry, false).unwrap();
            assert_eq!(layout.manifest.format, RawFormat::Cifar10);
            assert_eq!(
                layout.manifest.splits["train"][4],
                format!("{base}data_batch_5.bin")
            );
            assert_eq!(
                layout.extras,
                ["batches.meta.txt", "readme.html"].map(|file| format!("{base}{file}"))
            );
            assert_eq!(layout.summary(), "10 train and 1 test images in 10 classes");
        }
    }
}

#[test]
fn cifar_must_be_whole() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), "", 2);
    assert!(
        fails(folder.path(), Some("cifar10"), true)
            .contains("10 images where 50000 are published")
    );
    put(folder.path(), "data_batch_3.bin", &[0; 3072]);
    let message = fails(folder.path(), Some("cifar10"), false);
    assert!(message.contains("data_batch_3.bin: has 3,072 bytes"), "{message}");
    put(folder.path(), "data_batch_3.bin", b"");
    assert!(find(folder.path(), None, false).is_err());
    put(folder.path(), "data_batch_3.bin", &[10; 3073]);
    assert!(fails(folder.path(), Some("cifar10"), false).contains("label 10"));
    fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
    assert!(fails(folder.path(), Some("cifar10"), false).contains("data_batch_3.bin"));
}

#[test]
fn class_names_beside_the_batches_are_used() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), "", 1);
    let cifar10 = catalogue::find("cifar10");
    assert_eq!(find(folder.path(), cifar10, false).unwrap().manifest.classes[9], "j");
    put(folder.path(), "batches.meta.txt", b"a\nb\n");
    assert!(
        fails(folder.path(), Some("cifar10"), false)
            .contains("names 2 classes where 10 are published")
    );
    fs::remove_file(folder.path().join("batches.meta.txt")).unwrap();
    assert_eq!(find(folder.path(), cifar10, false).unwrap().manifest.classes[9], "truck");
}

#[test]
fn idx_files_are_found_gzipped_and_not() {
    for (base, suffix) in [("", ""), ("", ".gz"), ("MNIST/raw/", "")] {
        let folder = tempfile::tempdir().unwrap();
        mnist(folder.path(), base, suffix);
        let layout = find(folder.path(), None, false).unwrap();
        assert_eq!(
            layout.manifest.splits["test"][1],
            format!("{base}t10k-labels-idx1-ubyte{suffix}")
        );
        assert_eq!(
            find(folder.path(), catalogue::find("mnist-5k"), false)
                .unwrap()
                .manifest
                .classes
                .len(),
            10
        );
    }
}

#[test]
fn idx_files_must_be_whole() {
    let name = "train-images-idx3-ubyte";
    for bytes in [
        idx(&[3, 4, 5], &[0; 59]),
        idx(&[3, 4, 5], &[0; 61]),
        idx(&[4, 4, 5], &[0; 80]),
        idx(&[u32::MAX, u32::MAX, u32::MAX], &[]),
        idx(&[3, 0, 5], &[]),
        idx(&[3], &[0; 3]),
        vec![0, 0, 8],
    ] {
        let folder = tempfile::tempdir().unwrap();
        mnist(folder.path(), "", "");
        put(folder.path(), name, &bytes);
        let message = fails(folder.path(), Some("mnist-5k"), false);
        assert!(message.contains(name), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    mnist(folder.path(), "", ".gz");
    let path = folder.path().join(format!("{name}.gz"));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert!(fails(folder.path(), Some("mnist-5k"), false).contains(name));
}

#[test]
fn images_in_splits_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in [
        ("train/cat/1.jpg", b"x"),
        ("train/cat/more/2.PNG", b"x"),
        ("train/cat/notes.txt", b"x"),
        ("train/dog/1.jpeg", b"x"),
        ("train/.hidden/1.jpg", b"x"),
        ("val/cat/1.jpg", b"x"),
        ("val/dog/1.jpg", b"x"),
    ] {
        put(folder.path(), path, bytes);
    }
    let layout = find(folder.path(), None, false).unwrap();
    assert_eq!(layout.manifest.classes, ["cat", "dog"]);
    // Without a test split, the validation images become the test split.
    assert_eq!(layout.manifest.splits["test"], ["val"]);
    assert_eq!(layout.summary(), "3 train and 2 test images in 2 classes");
    put(folder.path(), "test/cow/1.jpg", b"x");
    assert!(fails(folder.path(), None, false).contains("`cow` is not among the classes"));
}

#[test]
fn images_in_classes_alone_and_wrapped() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "pets/cow/1.jpg", b"x");
    put(folder.path(), "pets/cat/1.jpg", b"x");
    let layout = find(&folder.path().join("pets"), None, false).unwrap();
    assert_eq!(
        (layout.manifest.classes.as_slice(), layout.manifest.splits["all"].as_slice()),
        (&["cat".into(), "cow".into()][..], &[".".into()][..])
    );
    let layout = find(folder.path(), None, false).unwrap();
    assert_eq!(
        (layout.manifest.splits["all"].as_slice(), layout.data.splits["all"].len()),
        (&["pets".into()][..], 2)
    );
}

#[test]
fn a_class_may_be_called_test_if_the_user_says_so() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "test/1.jpg", b"x");
    put(folder.path(), "cat/1.jpg", b"x");
    assert!(fails(folder.path(), None, false).contains("--split-dirs none"));
    let options =
        OpenOptions { split_dirs: "none".parse().unwrap(), ..OpenOptions::default() };
    let source = SourceFolder::new(folder.path());
    let layout = super::find(&source, None, false, &options).unwrap();
    assert_eq!(layout.manifest.classes, ["cat", "test"]);
}

#[test]
fn kaggles_mnist_is_read() {
    let names = ["train-images", "train-labels", "t10k-images", "t10k-labels"];
    for entry in [None, Some("mnist-5k")] {
        let folder = tempfile::tempdir().unwrap();
        mnist(folder.path(), "", "");
        // Each file twice: with a dot, and in a folder of the same name.
        for name in names {
            let number = if name.ends_with("images") { 3 } else { 1 };
            let plain = format!("{name}-idx{number}-ubyte");
            let bytes = fs::read(folder.path().join(&plain)).unwrap();
            fs::remove_file(folder.path().join(&plain)).unwrap();
            put(folder.path(), &format!("{plain}/{plain}"), &bytes);
            put(folder.path(), &format!("{name}.idx{number}-ubyte"), &bytes);
        }
        let entry = entry.and_then(catalogue::find);
        let layout = find(folder.path(), entry, false).unwrap();
        assert_eq!(layout.manifest.splits["train"][0], "train-images.idx3-ubyte");
        assert_eq!(layout.data.splits["train"].len(), 3);
        // Only the folders, as if the files had been unpacked one by one.
        for name in names {
            let number = if name.ends_with("images") { 3 } else { 1 };
            fs::remove_file(folder.path().join(format!("{name}.idx{number}-ubyte")))
                .unwrap();
        }
        let layout = find(folder.path(), entry, false).unwrap();
        let images = "train-images-idx3-ubyte/train-images-idx3-ubyte";
        assert_eq!(layout.manifest.splits["train"][0], images);
    }
}

#[test]
fn a_folder_without_images_says_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "notes.txt", b"");
    assert!(fails(folder.path(), None, false).contains("holds no data set"));
    assert!(fails(folder.path(), Some("cifar10"), false).contains("holds no data set"));
    assert!(
        fails(&folder.path().join("missing"), None, false)
            .contains("no such file or folder")
    );
}
