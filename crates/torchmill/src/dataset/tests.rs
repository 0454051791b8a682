//! Raw data sets, well-formed and not.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A CIFAR-10 record: a label, then three planes of one value each.
fn record(label: u8, rgb: [u8; 3]) -> Vec<u8> {
    let mut record = vec![label];
    rgb.iter().for_each(|&v| record.extend([v; 1024]));
    record
}

fn cifar(folder: &Path) {
    for i in 1..=5u8 {
        let batch = [record(i, [i, 2, 3]), record(0, [i, 5, 6])].concat();
        fs::write(folder.join(format!("data_batch_{i}.bin")), batch).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), record(9, [7, 8, 9])).unwrap();
    let names: Vec<_> = (0..10).map(|i| format!("class{i}")).collect();
    fs::write(folder.join("batches.meta.txt"), names.join("\n") + "\n\n").unwrap();
}

/// A grey PNM image, which is only a header and bytes.
fn pgm(path: &Path, width: usize, height: usize, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = format!("P5 {width} {height} 255\n").into_bytes();
    bytes.extend(vec![value; width * height]);
    fs::write(path, bytes).unwrap();
}

fn idx(path: &Path, dims: &[u32], bytes: &[u8]) {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| file.extend(d.to_be_bytes()));
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

fn manifest_of(folder: &Path) -> Manifest {
    detect(&SourceFolder::new(folder), &OpenOptions::default()).unwrap().manifest
}

fn error(folder: &TempDir) -> String {
    Dataset::open(folder.path())
        .and_then(|mut set| set.check(&[]))
        .unwrap_err()
        .to_string()
}

fn sources(set: &Dataset, split: &str) -> Vec<String> {
    set.splits[split].iter().map(|&s| set.source(s)).collect()
}

#[test]
fn cifar_is_read_in_order_of_its_batches() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cifar-10-batches-bin")).unwrap();
    cifar(&folder.path().join("cifar-10-batches-bin"));
    let set = Dataset::open(folder.path()).unwrap();
    assert_eq!((set.classes.len(), set.classes[9].as_str()), (10, "class9"));
    let train = &set.splits["train"];
    assert_eq!(
        train.iter().map(|s| s.label).collect::<Vec<_>>(),
        [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    );
    assert_eq!(set.source(train[3]), "cifar-10-batches-bin/data_batch_2.bin:1");
    let image = set.image(train[3]).unwrap();
    assert_eq!((image.width, image.height, image.channels), (32, 32, 3));
    assert_eq!(image.pixels, [2, 5, 6].repeat(1024));
    assert_eq!(set.record_shape(train[3]), Some([3, 32, 32]));
    let mut pixels = vec![0; 3072];
    set.read_pixels(train[3], Layout::ChannelsFirst, &mut pixels).unwrap();
    assert_eq!((pixels[0], pixels[1024]), (2, 5));
    set.read_pixels(train[3], Layout::ChannelsLast, &mut pixels).unwrap();
    assert_eq!(pixels, image.pixels);
}

#[test]
fn cifar_with_something_wrong_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path());
    let batch = folder.path().join("data_batch_3.bin");
    fs::write(&batch, [record(1, [0; 3]), record(10, [0; 3])].concat()).unwrap();
    let wrong = error(&folder);
    assert!(
        wrong.contains("data_batch_3.bin: record 1 (at byte 3073) has label 10"),
        "{wrong}"
    );
    fs::write(&batch, &record(1, [0; 3])[..3000]).unwrap();
    let wrong = error(&folder);
    assert!(
        wrong.contains(
            "data_batch_3.bin: has 3,000 bytes, which is not a whole number of records"
        ),
        "{wrong}"
    );
    fs::write(&batch, []).unwrap();
    assert!(error(&folder).contains("has 0 bytes"));
    fs::remove_file(&batch).unwrap();
    assert!(error(&folder).contains("data_batch_3.bin: no such file"));
    fs::remove_file(folder.path().join("batches.meta.txt")).unwrap();
    assert!(error(&folder).contains("cannot read the class names in"));
}

#[test]
fn idx_files_are_read_gzipped_or_not() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    idx(
        &at("train-images-idx3-ubyte"),
        &[2, 2, 3],
        &[1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16],
    );
    idx(&at("train-labels-idx1-ubyte"), &[2], &[7, 3]);
    for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let plain = fs::read(at(&name.replace("t10k", "train"))).unwrap();
        let file = fs::File::create(at(&format!("{name}.gz"))).unwrap();
        let mut packer =
            flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packer.write_all(&plain).unwrap();
        packer.finish().unwrap();
    }
    let set = Dataset::open(folder.path()).unwrap();
    // As many classes as the largest label requires, not MNIST's ten.
    assert_eq!(set.classes.join(""), "01234567");
    for split in ["train", "test"] {
        let samples = &set.splits[split];
        assert_eq!(samples.iter().map(|s| s.label).collect::<Vec<_>>(), [7, 3]);
        let image = set.image(samples[1]).unwrap();
        assert_eq!((image.width, image.height, image.channels), (3, 2, 1));
        assert_eq!(image.pixels, [11, 12, 13, 14, 15, 16]);
    }
    idx(&at("train-labels-idx1-ubyte"), &[3], &[7, 3, 1]);
    assert!(error(&folder).contains("holds labels of shape [3], but"));
    let gz = fs::read(at("t10k-images-idx3-ubyte.gz")).unwrap();
    idx(&at("train-labels-idx1-ubyte"), &[2], &[7, 3]);
    fs::write(at("t10k-images-idx3-ubyte.gz"), &gz[..gz.len() - 9]).unwrap();
    assert!(
        error(&folder).contains("t10k-images-idx3-ubyte.gz: the gzip data is damaged")
    );
}

#[test]
fn a_folder_per_class_is_read_sorted() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in
        [("dog/b.pgm", 1), ("cat/2.pgm", 2), ("cat/10.pgm", 3), ("cat/sub/0.pgm", 4)]
    {
        pgm(&folder.path().join(name), 2, 1, value);
    }
    fs::write(folder.path().join("cat/notes.txt"), "meow").unwrap();
    fs::write(folder.path().join("cat/._2.pgm"), "a hidden file").unwrap();
    let mut set = Dataset::open(folder.path()).unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(
        sources(&set, UNSPLIT),
        ["cat/10.pgm", "cat/2.pgm", "cat/sub/0.pgm", "dog/b.pgm"]
    );
    assert_eq!(set.image(set.splits[UNSPLIT][1]).unwrap().pixels, [2; 6]);
    assert!(
        set.notes[0].contains("notes.txt: it is not an image by its name"),
        "{:?}",
        set.notes
    );
    set.keep_classes(&["dog".to_owned()]).unwrap();
    assert_eq!(
        (sources(&set, UNSPLIT), set.splits[UNSPLIT][0].label),
        (vec!["dog/b.pgm".to_owned()], 0)
    );
    assert!(set.keep_classes(&["cat".to_owned()]).is_err());
}

#[test]
fn splits_are_known_by_their_folders() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train/cat/1.pgm", "train/dog/1.pgm", "val/cat/2.pgm", "val/dog/2.pgm"] {
        pgm(&folder.path().join(name), 2, 2, 9);
    }
    let set = Dataset::open(folder.path()).unwrap();
    assert_eq!(set.splits.keys().collect::<Vec<_>>(), ["test", "train"]);
    assert_eq!(sources(&set, "test"), ["val/cat/2.pgm", "val/dog/2.pgm"]);
    pgm(&folder.path().join("val/fox/2.pgm"), 2, 2, 9);
    assert!(error(&folder).contains("`fox` is not among the classes"));
    fs::remove_dir_all(folder.path().join("val/fox")).unwrap();
    // torchvision's ImageFolder accepts an empty class folder with allow_empty.
    fs::remove_file(folder.path().join("val/dog/2.pgm")).unwrap();
    let mut set = Dataset::open(folder.path()).unwrap();
    set.check(&[]).unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    assert!(
        set.notes[0].contains("`test` has no images of the class dog")
            && set.notes[0].contains("val/dog holds no images"),
        "{:?}",
        set.notes
    );
    fs::remove_dir(folder.path().join("val/dog")).unwrap();
    let mut set = Dataset::open(folder.path()).unwrap();
    set.check(&[]).unwrap();
    assert_eq!(
        (sources(&set, "test"), set.classes.len()),
        (vec!["val/cat/2.pgm".to_owned()], 2)
    );
    assert!(set.notes[0].contains("val/dog is not there"), "{:?}", set.notes);
    // A class without any image can only be a mistake.
    fs::remove_file(folder.path().join("train/dog/1.pgm")).unwrap();
    let wrong = error(&folder);
    assert!(wrong.contains("train/dog holds no images"), "{wrong}");
    let mut set = Dataset::open(folder.path()).unwrap();
    set.keep_classes(&["cat".to_owned()]).unwrap();
    set.check(&[]).unwrap();
    assert!(set.notes[0].contains("all images are of one class, `cat`"));
}

#[test]
fn what_is_no_data_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(error(&folder).contains("holds no data set: looked for CIFAR's"));
    fs::create_dir(folder.path().join("cat")).unwrap();
    assert!(error(&folder).contains("holds no data set"));
    let missing = Dataset::open(&folder.path().join("gone")).unwrap_err().to_string();
    assert!(missing.ends_with("gone: no such file or folder"), "{missing}");
}

#[test]
fn a_file_that_is_no_image_is_named() {
    let folder = tempfile::tempdir().unwrap();
    pgm(&folder.path().join("cat/1.pgm"), 2, 2, 9);
    fs::write(folder.path().join("cat/2.jpg"), "<html>not found</html>").unwrap();
    fs::write(folder.path().join("cat/3.jpg"), [0xff, 0xd8, 0xff, 0xe0, 0, 16, 1, 2])
        .unwrap();
    let set = Dataset::open(folder.path()).unwrap();
    let image = |i: usize| set.image(set.splits[UNSPLIT][i]);
    assert!(image(0).is_ok());
    let html = image(1).unwrap_err().to_string();
    assert!(html.contains("cat/2.jpg: is not an image"), "{html}");
    let cut = image(2).unwrap_err().to_string();
    assert!(cut.contains("cat/3.jpg: cannot be decoded as JPEG"), "{cut}");
}

#[test]
fn git_lfs_pointers_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("pets/cat")).unwrap();
    fs::write(at("pets/cat/1.jpg"), pointer).unwrap();
    let set = Dataset::open(&at("pets")).unwrap();
    let sample = set.splits[UNSPLIT][0];
    let mut messages = vec![set.image(sample).unwrap_err().to_string()];
    fs::write(at("list.csv"), pointer).unwrap();
    messages.push(
        Dataset::from_csv(&at("list.csv"), &ColumnNames::default())
            .unwrap_err()
            .to_string(),
    );
    for name in ["batches.meta", "train-labels-idx1-ubyte"] {
        let set = at(&format!("{name}-set"));
        fs::create_dir(&set).unwrap();
        fs::write(set.join(name), pointer).unwrap();
        fs::write(set.join("train-images-idx3-ubyte"), pointer).unwrap();
        messages.push(Dataset::open(&set).unwrap_err().to_string());
    }
    for message in messages {
        assert!(message.contains("`git lfs pull` fetches the file"), "{message}");
    }
}

#[test]
fn a_split_is_stratified_and_an_image_stays_in_its_part() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..20 {
        pgm(&folder.path().join(format!("cat/{i}.pgm")), 1, 1, i);
        pgm(&folder.path().join(format!("dog/{i}.pgm")), 1, 1, i);
    }
    let split = |seed| {
        let mut set = Dataset::open(folder.path()).unwrap();
        set.split(0.25, seed).unwrap();
        set
    };
    let set = split(0);
    let count = |label| set.splits["test"].iter().filter(|s| s.label == label).count();
    assert_eq!((count(0), count(1), set.splits["train"].len()), (5, 5, 30));
    assert_eq!(sources(&set, "test"), sources(&split(0), "test"));
    let before = sources(&set, "test");
    assert_ne!(before, sources(&split(1), "test"));
    pgm(&folder.path().join("cat/20.pgm"), 1, 1, 0);
    let after = sources(&split(0), "test");
    assert!(
        before.iter().filter(|s| !after.contains(s)).count() <= 1,
        "{before:?} {after:?}"
    );
}

#[test]
fn a_limit_keeps_the_proportions() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..10 {
        pgm(
            &folder.path().join(format!("{}/{i}.pgm", if i < 8 { "cat" } else { "dog" })),
            1,
            1,
            i,
        );
    }
    let mut set = Dataset::open(folder.path()).unwrap();
    set.limit(5);
    let labels = |set: &Dataset| -> Vec<u32> {
        set.splits[UNSPLIT].iter().map(|s| s.label).collect()
    };
    assert_eq!(labels(&set), [0, 0, 0, 0, 1]);
    // A list that alternates between classes: every second image has the same class.
    let rows: String =
        (0..40).map(|i| format!("{i}.png\t{}\n", ["cat", "dog"][i % 2])).collect();
    let mut list =
        Dataset::from_lines(&mut rows.as_bytes(), "list", Path::new("")).unwrap();
    list.limit(20);
    assert_eq!(labels(&list).iter().sum::<u32>(), 10);
    assert_eq!(sources(&list, UNSPLIT)[..3], ["0.png", "1.png", "4.png"]);
}

#[test]
fn a_test_fraction_leaves_every_class_an_image_to_train_with() {
    let rows = "1.png\tcat\n2.png\tcat\n3.png\tdog\n";
    let mut set =
        Dataset::from_lines(&mut rows.as_bytes(), "list", Path::new("")).unwrap();
    set.split(0.5, 0).unwrap();
    set.check(&[]).unwrap();
    assert_eq!(set.splits["train"].iter().map(|s| s.label).sum::<u32>(), 1);
    assert_eq!(set.notes, ["the split `test` has no images of the class dog"]);
}

#[test]
fn joined_data_sets_match_classes_by_name() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    // The article's cat + dog: a folder of images is a class of its own name.
    pgm(&at("dog/1.pgm"), 1, 1, 1);
    pgm(&at("cat/1.pgm"), 1, 1, 2);
    pgm(&at("more/cat/1.pgm"), 1, 1, 3);
    let sets = ["dog", "cat", "more"].map(|name| Dataset::open(&at(name)).unwrap());
    let set = Dataset::concat(sets.into()).unwrap();
    assert_eq!(
        (set.name.as_str(), set.classes.join(" ").as_str()),
        ("dog+cat+more", "cat dog")
    );
    assert_eq!(sources(&set, UNSPLIT), ["dog/1.pgm", "cat/1.pgm", "more/cat/1.pgm"]);
    let samples = &set.splits[UNSPLIT];
    assert_eq!(samples.iter().map(|s| s.label).collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(
        samples.iter().map(|&s| set.image(s).unwrap().pixels[0]).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn a_manifest_is_believed_but_not_outside_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path());
    let mut manifest = manifest_of(folder.path());
    manifest.splits.get_mut("test").unwrap()[0] = "../test_batch.bin".to_owned();
    manifest.write(folder.path()).unwrap();
    assert!(error(&folder).contains("leads outside its folder"));
    manifest.splits.get_mut("test").unwrap()[0] = "data_batch_1.bin".to_owned();
    manifest.write(folder.path()).unwrap();
    assert_eq!(Dataset::open(folder.path()).unwrap().splits["test"].len(), 2);
}

#[test]
fn a_manifests_names_are_no_ways_to_other_folders() {
    let folder = tempfile::tempdir().unwrap();
    pgm(&folder.path().join("set/cat/1.pgm"), 1, 1, 1);
    pgm(&folder.path().join("other/1.pgm"), 1, 1, 1);
    let set = folder.path().join("set");
    let right = manifest_of(&set);
    for class in ["../other", "/etc", "..", "", "a\nb"] {
        Manifest { classes: vec![class.to_owned()], ..right.clone() }
            .write(&set)
            .unwrap();
        let error = Dataset::open(&set).unwrap_err().to_string();
        assert!(
            error.contains("dataset.toml: the class")
                && error.contains("name of a folder"),
            "{error}"
        );
    }
    for split in ["../../train", "a/b", ".train", ""] {
        let splits = [(split.to_owned(), vec![".".to_owned()])].into();
        Manifest { splits, ..right.clone() }.write(&set).unwrap();
        let error = Dataset::open(&set).unwrap_err().to_string();
        assert!(
            error.contains("dataset.toml: the split") && error.contains("a file's name"),
            "{error}"
        );
    }
}

/// Small images of every format, to be damaged, from the files that PIL reads.
fn seeds() -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/images.safetensors");
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut seeds = Vec::new();
    for extension in ["jpg", "png", "gif", "webp", "bmp", "tif", "pnm"] {
        let of_format = |name: &&str| name.ends_with(extension);
        let mut names: Vec<_> = file.names().into_iter().filter(of_format).collect();
        names.sort_unstable();
        let readable =
            |name: &&str| decode::rgb(file.tensor(name).unwrap().data()).is_ok();
        let name = names.into_iter().find(readable).unwrap();
        seeds.push(file.tensor(name).unwrap().data().to_vec());
    }
    seeds
}

proptest! {
    #[test]
    fn noise_in_cifars_files_never_panics(
        batch in proptest::collection::vec(any::<u8>(), 0..40),
        records in 0usize..3,
        names in "[a-z\n]{0,20}",
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; records * 3073];
        bytes.splice(0..0, batch.iter().copied());
        for name in ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"] {
            fs::write(folder.path().join(name), &bytes).unwrap();
        }
        fs::write(folder.path().join("batches.meta.txt"), names).unwrap();
        // Noise before the records shifts them: only whole records with labels in range
        // are a data set.
        if let Ok(set) = Dataset::open(folder.path()) {
            prop_assert_eq!(bytes.len() % 3073, 0);
            prop_assert!(set.splits.values().flatten().all(|s| (s.label as usize) < set.classes.len()));
        }
    }

    #[test]
    fn damaged_images_never_panic(seed in 0usize..7, at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = seeds().swap_remove(seed);
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = decode::rgb(&bytes);
        let _ = decode::dimensions(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode::rgb(&bytes);
    }

    #[test]
    fn noise_that_begins_like_a_jpeg_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode::rgb(&[&[0xff, 0xd8, 0xff][..], &noise].concat());
    }
}
