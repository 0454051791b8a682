//! Image folders with the layouts that people use.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tempfile::TempDir;

use super::super::*;

/// A folder with these files.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, files);
    folder
}

fn add(folder: &TempDir, files: &[&str]) {
    for file in files {
        add_file(&folder.path().join(file));
    }
}

fn add_file(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"P6 1 1 255\nabc").unwrap();
}

fn options(split_dirs: &str) -> OpenOptions {
    OpenOptions { split_dirs: split_dirs.parse().unwrap(), ..OpenOptions::default() }
}

fn open(folder: &TempDir) -> Dataset {
    Dataset::open(folder.path()).unwrap()
}

fn error(folder: &TempDir) -> String {
    Dataset::open(folder.path()).unwrap_err().to_string()
}

/// `train: a/1.ppm b/1.ppm; test: ...`, and the classes.
fn shape(set: &Dataset) -> String {
    let mut text = set.classes.join(" ");
    for (split, samples) in &set.splits {
        let sources: Vec<_> = samples.iter().map(|&s| set.source(s)).collect();
        text += &format!("; {split}: {}", sources.join(" "));
    }
    text
}

fn noted(set: &Dataset, words: &[&str]) {
    for word in words {
        let is_in = |note: &String| note.contains(word);
        assert!(set.notes.iter().any(is_in), "{word} is not in {:?}", set.notes);
    }
}

#[test]
fn folders_called_as_splits_are_splits() {
    for (train, test) in [
        ("train", "test"),
        ("Train", "Test"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("train", "val"),
    ] {
        let at = |dir: &str, class: &str| format!("{dir}/{class}/1.ppm");
        let files =
            [at(train, "cat"), at(train, "dog"), at(test, "cat"), at(test, "dog")];
        let set = open(&folder(&files.each_ref().map(String::as_str)));
        let expected = format!(
            "cat dog; test: {2} {3}; train: {0} {1}",
            files[0], files[1], files[2], files[3]
        );
        assert_eq!(shape(&set), expected);
        assert!(set.notes.is_empty(), "{:?}", set.notes);
    }
}

#[test]
fn a_split_folder_in_a_folder_of_its_name_is_followed() {
    let set = open(&folder(&[
        "seg_train/seg_train/sea/1.ppm",
        "seg_train/seg_train/street/1.ppm",
        "seg_test/seg_test/sea/2.ppm",
        "seg_test/seg_test/street/2.ppm",
        "seg_pred/seg_pred/3.ppm",
    ]));
    assert_eq!(set.classes, ["sea", "street"]);
    assert_eq!((set.splits["train"].len(), set.splits["test"].len()), (2, 2));
    noted(&set, &["seg_pred: its name is not a split's"]);
}

#[test]
fn stray_files_make_no_classes_of_splits() {
    let files =
        ["train/cat/1.ppm", "train/dog/1.ppm", "test/cat/1.ppm", "test/dog/1.ppm"];
    let both = folder(&files);
    add(&both, &["train/stray.ppm", "test/stray.ppm", "stray.ppm"]);
    let set = open(&both);
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!((set.splits["train"].len(), set.splits["test"].len()), (2, 2));
    noted(&set, &["train/stray.ppm: it is in no class folder", "test/stray.ppm"]);
    // In one of them only: the split must not vanish.
    let one = folder(&files);
    add(&one, &["train/stray.ppm"]);
    assert_eq!(open(&one).splits.len(), 2);
    // Next to class folders, as ImageFolder does.
    let set = open(&folder(&["cat/1.ppm", "dog/1.ppm", "3.ppm", "4.ppm"]));
    assert_eq!(shape(&set), "cat dog; all: cat/1.ppm dog/1.ppm");
    noted(&set, &["left out 2 images that are in no class folder"]);
}

#[test]
fn folders_that_are_left_out_are_named() {
    let set = open(&folder(&[
        "train/cat/1.ppm",
        "train/dog/1.ppm",
        "holdout/cat/2.ppm",
        "holdout/dog/2.ppm",
        "test/3.ppm",
    ]));
    assert_eq!(set.splits.keys().collect::<Vec<_>>(), ["train"]);
    noted(
        &set,
        &["holdout: its name is not a split's; --split-dirs", "test: its images"],
    );
}

#[test]
fn what_can_be_read_in_two_ways_is_an_error() {
    let flat = folder(&["train/cat.1.ppm", "train/dog.1.ppm", "test/1.ppm"]);
    let wrong = error(&flat);
    for words in ["test and train are in no class folder", "--split-dirs none"] {
        assert!(wrong.contains(words), "{wrong}");
    }
    let set = Dataset::open_with(flat.path(), &options("none")).unwrap();
    assert_eq!(set.classes, ["test", "train"]);
    // Pictures to be classified next to the classes, most likely.
    assert!(error(&folder(&["cat/1.ppm", "dog/1.ppm", "test/1.ppm"])).contains("test"));
    // A class may have such a name, too.
    let set = open(&folder(&["bus/1.ppm", "car/1.ppm", "train/1.ppm"]));
    assert_eq!(set.classes, ["bus", "car", "train"]);
    noted(&set, &["train is read as a class"]);
    let both = folder(&["train/cat/1.ppm", "train/dog/1.ppm", "cat/2.ppm", "dog/2.ppm"]);
    assert!(error(&both).contains("train (folders cat, dog)"), "{}", error(&both));
    let twice = folder(&["train/cat/1.ppm", "training/cat/1.ppm"]);
    assert!(
        error(&twice).contains("would both be the split `train`"),
        "{}",
        error(&twice)
    );
}

#[test]
fn split_dirs_decide() {
    let folder =
        folder(&["a/cat/1.ppm", "a/dog/1.ppm", "b/c/cat/2.ppm", "b/c/dog/2.ppm"]);
    let set = Dataset::open_with(folder.path(), &options("train=a,test=b/c")).unwrap();
    assert_eq!(
        shape(&set),
        "cat dog; test: b/c/cat/2.ppm b/c/dog/2.ppm; train: a/cat/1.ppm a/dog/1.ppm"
    );
    let open =
        |dirs: &str| Dataset::open_with(folder.path(), &options(dirs)).unwrap_err();
    assert_eq!(open("train=gone").exit_status(), 2);
    assert!(open("train=../up").to_string().contains("outside"));
}

#[test]
fn links_and_names_of_other_systems() {
    let folder =
        folder(&["cat/1.ppm", "dog/1.ppm", "__MACOSX/cat/._1.ppm", "cat/.#0.ppm"]);
    let link = |name: &str| {
        std::os::unix::fs::symlink("/nonexistent", folder.path().join(name)).unwrap();
    };
    for name in ["cat/.#1.ppm", "cat/README", "README", "gone"] {
        link(name);
    }
    assert_eq!(shape(&open(&folder)), "cat dog; all: cat/1.ppm dog/1.ppm");
    // An image that is not there is an error when it is read, so --skip-bad lists it.
    link("dog/2.ppm");
    let set = open(&folder);
    let samples = &set.splits[UNSPLIT];
    assert_eq!(samples.len(), 3);
    let wrong = set.image(samples[2]).unwrap_err().to_string();
    assert!(wrong.contains("dog/2.ppm: no such file"), "{wrong}");
}

#[test]
fn names_need_not_be_utf8() {
    let folder = folder(&["dog/1.ppm"]);
    let class = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
    add_file(&class.join(OsStr::from_bytes(b"\xff.ppm")));
    let set = open(&folder);
    assert_eq!(shape(&set), "caf\\xe9 dog; all: caf\\xe9/\\xff.ppm dog/1.ppm");
    set.image(set.splits[UNSPLIT][0]).unwrap();
}

#[test]
fn class_names_are_compared_in_one_unicode_form() {
    let forms = folder(&[
        "train/caf\u{e9}/1.ppm",
        "train/dog/1.ppm",
        "test/cafe\u{301}/2.ppm",
        "test/dog/2.ppm",
    ]);
    let set = open(&forms);
    assert_eq!(set.classes, ["caf\u{e9}", "dog"]);
    assert_eq!(set.splits["test"].len(), 2);
    set.image(set.splits["test"][0]).unwrap();
    let both = folder(&["caf\u{e9}/1.ppm", "cafe\u{301}/2.ppm"]);
    let wrong = error(&both);
    assert!(wrong.contains("\\u{301}") && wrong.contains("rename one"), "{wrong}");
}

#[test]
fn class_names_have_no_control_characters() {
    for name in ["a\tb", "a\nb"] {
        let wrong = error(&folder(&["cat/1.ppm", &format!("{name}/1.ppm")]));
        assert!(wrong.contains("cannot be the name of a folder"), "{wrong}");
    }
    let set = open(&folder(&["cat/1.ppm", "a\\b/1.ppm"]));
    assert_eq!(set.classes, ["a\\b", "cat"]);
}

#[test]
fn numbers_are_sorted_as_imagefolder_sorts_them() {
    let set = open(&folder(&["1/1.ppm", "2/1.ppm", "10/1.ppm"]));
    assert_eq!(set.classes, ["1", "10", "2"]);
    noted(&set, &["1, 10, 2"]);
}

#[test]
fn a_table_next_to_the_images_is_pointed_to() {
    let parent = folder(&["images/1.ppm", "images/2.ppm"]);
    let images = parent.path().join("images");
    assert!(Dataset::open(&images).unwrap().notes.is_empty());
    fs::write(parent.path().join("images.csv"), "path,label\n").unwrap();
    let set = Dataset::open(&images).unwrap();
    noted(&set, &["images.csv` reads it"]);
    fs::write(images.join("data.tsv"), "path\tlabel\n").unwrap();
    noted(&Dataset::open(&images).unwrap(), &["images/data.tsv` reads it"]);
    let split = folder(&["train/1.ppm", "test/1.ppm"]);
    fs::write(split.path().join("labels.csv"), "id,breed\n").unwrap();
    assert!(error(&split).contains("labels.csv` to take labels"), "{}", error(&split));
}

#[test]
fn a_repository_says_what_was_taken() {
    let root = folder(&["Dataset/cat/1.ppm", "Dataset/dog/1.ppm", "Examples/2.ppm"]);
    let set = open(&root);
    assert_eq!(set.classes, ["Dataset", "Examples"]);
    noted(
        &set,
        &["Dataset holds folders (cat, dog)", "takes its folders as the classes"],
    );
    let zip = tempfile::tempdir().unwrap();
    fs::write(zip.path().join("pets.zip"), "").unwrap();
    assert!(error(&zip).contains("pets.zip` unpacks it"), "{}", error(&zip));
    let web = folder(&["0.ppm"]);
    fs::write(web.path().join("0.cls"), "3").unwrap();
    assert!(error(&web).contains(".cls files"), "{}", error(&web));
    let code = tempfile::tempdir().unwrap();
    fs::write(code.path().join("main.py"), "").unwrap();
    assert!(error(&code).contains("it holds the files main.py"), "{}", error(&code));
}

#[test]
fn a_manifest_is_not_reported_as_left_out() {
    let folder = folder(&["1.ppm"]);
    let manifest = detect(&SourceFolder::new(folder.path()), &OpenOptions::default());
    manifest.unwrap().manifest.write(folder.path()).unwrap();
    let set = open(&folder);
    assert_eq!((set.splits[UNSPLIT].len(), set.notes.len()), (1, 0), "{:?}", set.notes);
}

#[test]
fn endings_that_imagefolder_leaves_out_are_said_and_can_be_chosen() {
    let folder = folder(&["cat/1.ppm", "cat/notFound.gif", "dog/1.ppm"]);
    let set = open(&folder);
    assert_eq!(set.splits[UNSPLIT].len(), 3);
    noted(&set, &["1 of 3 images", "notFound.gif"]);
    let extensions = "jpg,ppm".parse().unwrap();
    let options = OpenOptions { extensions, ..OpenOptions::default() };
    let set = Dataset::open_with(folder.path(), &options).unwrap();
    assert_eq!(shape(&set), "cat dog; all: cat/1.ppm dog/1.ppm");
}
