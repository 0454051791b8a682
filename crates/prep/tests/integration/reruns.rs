//! How a run treats the files that an earlier run left in the folder.

use std::fs;
use std::path::Path;

use torchmill_testing::{Sandbox, names, write_ppm};

use crate::{fail, run, shards, succeed};

/// Ten images of cats and ten of dogs, without splits, in `folder/heap`.
fn heap(folder: &Path) {
    for i in 0..10 {
        write_ppm(folder.join(format!("heap/cat/{i}.ppm")), 1, 1, &[i, 0, 0]);
        write_ppm(folder.join(format!("heap/dog/{i}.ppm")), 1, 1, &[i, 1, 0]);
    }
}

fn has(folder: &Path, what: &str) -> bool {
    names(folder.join("out")).iter().any(|name| name.starts_with(what))
}

#[test]
fn a_split_that_a_run_does_not_have_does_not_stay() {
    let dir = Sandbox::new();
    heap(dir.path());
    for format in ["shard", "npy", "csv"] {
        let run = |more: &[&str]| {
            succeed(
                dir.path(),
                &[&["heap", "-o", "out", "--format", format], more].concat(),
            )
        };
        run(&["--test-fraction", "0.4"]);
        fs::write(dir.path().join("out/test-00000-of-00001.txt"), "mine").unwrap();
        assert!(has(dir.path(), "test-00000-of-00001."));
        let said = run(&[]);
        assert!(
            said.contains("of an earlier run from out: this one has no such split"),
            "{format}: {said}"
        );
        let test: Vec<_> = names(dir.path().join("out"))
            .into_iter()
            .filter(|n| n.starts_with("test"))
            .collect();
        assert_eq!(test, ["test-00000-of-00001.txt"], "{format}");
        fs::remove_dir_all(dir.path().join("out")).unwrap();
    }
}

#[test]
fn splits_that_were_divided_in_another_way_are_not_mixed() {
    let dir = Sandbox::new();
    heap(dir.path());
    let with = |fraction: &'static str, split: &'static str| {
        ["heap", "-o", "out", "--test-fraction", fraction, "--split", split]
    };
    succeed(dir.path(), &with("0.4", "train"));
    succeed(dir.path(), &with("0.4", "test"));
    let said = run(dir.path(), &with("0.5", "train"));
    assert!(
        said.status.success(),
        "fewer images to train with are none of those to test with"
    );
    let said = run(dir.path(), &with("0.2", "train"));
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(
        said.contains("of the split `train` is also in out/test-00000-of-00001.shard"),
        "{said}"
    );
    assert!(said.contains("without --split"), "{said}");
    succeed(dir.path(), &["heap", "-o", "out", "--test-fraction", "0.2"]);
    assert_eq!(
        (shards(dir.path(), "train").len(), shards(dir.path(), "test").len()),
        (16, 4)
    );
}

#[test]
fn both_splits_have_images() {
    let dir = Sandbox::new();
    heap(dir.path());
    fail(
        dir.path(),
        &["heap", "-o", "out", "--test-fraction", "0.99"],
        2,
        "leaves none to train with",
    );
    fail(
        dir.path(),
        &["heap", "-o", "out", "--test-fraction", "0.01"],
        2,
        "is less than one image",
    );
    let all =
        (0..10).flat_map(|i| ["cat", "dog"].map(|class| format!("{class}/{i}.ppm\n")));
    fs::write(dir.path().join("all.txt"), all.collect::<String>()).unwrap();
    fail(
        dir.path(),
        &["heap", "-o", "out", "--test-list", "all.txt"],
        1,
        "lists every image of heap",
    );
}

#[test]
fn a_shard_that_is_damaged_anywhere_is_written_again() {
    let dir = Sandbox::new();
    heap(dir.path());
    succeed(dir.path(), &["heap", "-o", "out"]);
    let shard = dir.path().join("out/train-00000-of-00001.shard");
    let sound = fs::read(&shard).unwrap();
    let image = torchmill::shard::Shard::open(&shard)
        .unwrap()
        .header()
        .field("image")
        .unwrap()
        .offset;
    let mut damaged = sound.clone();
    damaged[image as usize + 3] ^= 1;
    fs::write(&shard, damaged).unwrap();
    let said = succeed(dir.path(), &["heap", "-o", "out"]);
    assert!(!said.contains("up to date"), "{said}");
    assert!(fs::read(&shard).unwrap() == sound);
}

#[test]
fn what_was_left_out_is_said_and_listed_again() {
    let dir = Sandbox::new();
    heap(dir.path());
    fs::write(dir.path().join("heap/cat/0.ppm"), "no image").unwrap();
    fs::write(dir.path().join("heap/dog/9.ppm"), "").unwrap();
    for format in ["shard", "csv", "tar", "npy", "jsonl"] {
        let arguments =
            ["heap", "-o", "out", "--skip-bad", "bad.tsv", "--format", format];
        let said = succeed(dir.path(), &arguments);
        assert!(said.contains("train: 18 images"), "{format}: {said}");
        let list = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
        assert_eq!(list.lines().count(), 2, "{format}: {list}");
        fs::remove_file(dir.path().join("bad.tsv")).unwrap();
        let said = succeed(dir.path(), &arguments);
        assert!(
            said.contains("train: 18 images") && said.contains("up to date"),
            "{format}: {said}"
        );
        assert!(
            said.contains("2 bad images were left out and listed in bad.tsv"),
            "{format}: {said}"
        );
        assert_eq!(
            fs::read_to_string(dir.path().join("bad.tsv")).unwrap(),
            list,
            "{format}"
        );
        fs::remove_dir_all(dir.path().join("out")).unwrap();
    }
    let said = succeed(dir.path(), &["heap", "--stats", "--skip-bad", "stats.tsv"]);
    assert!(
        said.contains("2 bad images were left out and listed in stats.tsv"),
        "{said}"
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("stats.tsv")).unwrap().lines().count(),
        2
    );
}

#[test]
fn a_file_that_is_listed_and_not_there_is_left_out_as_others_are() {
    let dir = Sandbox::new();
    heap(dir.path());
    fs::write(
        dir.path().join("list.tsv"),
        "heap/cat/1.ppm\nheap/cat/gone.ppm\nheap/dog/1.ppm\n",
    )
    .unwrap();
    fail(
        dir.path(),
        &["list.tsv", "-o", "out"],
        1,
        "cannot read heap/cat/gone.ppm: no such file or folder",
    );
    for what in ["left out", "up to date"] {
        let said =
            succeed(dir.path(), &["list.tsv", "-o", "out", "--skip-bad", "bad.tsv"]);
        assert!(said.contains("train: 2 images") && said.contains(what), "{said}");
        let list = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
        assert_eq!(
            list,
            "heap/cat/gone.ppm\tcannot read heap/cat/gone.ppm: no such file or folder\n"
        );
    }
    // The missing image is there now.
    write_ppm(dir.path().join("heap/cat/gone.ppm"), 1, 1, &[1, 2, 3]);
    let said = succeed(dir.path(), &["list.tsv", "-o", "out", "--skip-bad", "bad.tsv"]);
    assert!(said.contains("train: 3 images") && !said.contains("up to date"), "{said}");
}

#[test]
fn descriptions_of_parts_go_when_the_whole_is_written() {
    let dir = Sandbox::new();
    heap(dir.path());
    let whole = ["heap", "-o", "out", "--format", "csv", "--shard-size", "24"];
    for part in ["1/2", "2/2"] {
        succeed(dir.path(), &[&whole[..], &["--part", part]].concat());
    }
    let described = || {
        names(dir.path().join("out"))
            .into_iter()
            .filter(|n| n.ends_with("json"))
            .collect::<Vec<_>>()
    };
    assert_eq!(described(), ["train-part-1-of-2.json", "train-part-2-of-2.json"]);
    succeed(dir.path(), &whole);
    assert_eq!(described(), ["train.json"]);
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let dir = Sandbox::new();
    heap(dir.path());
    let killed = dir.path().join("out/.partial-killed");
    fs::create_dir_all(&killed).unwrap();
    fs::write(killed.join(".partial-half"), "half a shard").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::open(&killed).unwrap().set_modified(long_ago).unwrap();
    succeed(dir.path(), &["heap", "-o", "out"]);
    assert_eq!(names(dir.path().join("out")), ["train-00000-of-00001.shard"]);
}

/// Runs prep with npy files and this transform.
fn npy(folder: &Path, transform: &str) -> std::process::Output {
    run(folder, &["heap", "-o", "out", "--format", "npy", "--transform", transform])
}

#[test]
fn a_file_of_the_same_size_with_other_bytes_is_written_again() {
    let dir = Sandbox::new();
    heap(dir.path());
    assert!(npy(dir.path(), "ToTensor").status.success());
    let path = dir.path().join("out/train-00000-of-00001-images.npy");
    let sound = fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&path, damaged).unwrap();
    assert!(npy(dir.path(), "ToTensor").status.success());
    assert_eq!(fs::read(&path).unwrap(), sound);
}

#[test]
fn no_description_is_left_of_files_of_two_runs() {
    let dir = Sandbox::new();
    heap(dir.path());
    assert!(npy(dir.path(), "ToTensor").status.success());
    // The second rename of the next run fails, as if prep had been killed before it.
    let labels = dir.path().join("out/train-00000-of-00001-labels.npy");
    fs::remove_file(&labels).unwrap();
    fs::create_dir_all(labels.join("in the way")).unwrap();
    let mixed = npy(dir.path(), "Pad(1) | CenterCrop(1) | ToTensor");
    assert_eq!(mixed.status.code(), Some(1));
    assert!(!dir.path().join("out/train.json").exists());
    fs::remove_dir_all(&labels).unwrap();
    let again = npy(dir.path(), "ToTensor");
    assert!(again.status.success());
    assert!(!String::from_utf8_lossy(&again.stderr).contains("up to date"));
}

#[test]
fn two_runs_do_not_write_to_one_folder_at_once() {
    use std::io::{BufRead, BufReader};
    let dir = Sandbox::new();
    heap(dir.path());
    fs::create_dir(dir.path().join("out")).unwrap();
    let folder = fs::File::open(dir.path().join("out")).unwrap();
    folder.lock().unwrap();
    let mut child = crate::command(&["heap", "-o", "out"])
        .current_dir(dir.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.any(|line| line.unwrap().contains("waiting for another prep"));
    assert!(waits);
    assert!(names(dir.path().join("out")).is_empty());
    folder.unlock().unwrap();
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    assert_eq!(shards(dir.path(), "train").len(), 20);
}
