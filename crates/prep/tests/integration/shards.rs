//! Raw data to shards and back.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use torchmill::dataset::{OpenOptions, SourceFolder, detect};
use torchmill_testing::{Sandbox, names, pixel, write_cifar10, write_pets, write_ppm};

use crate::{command, fail, pipe, printed, run, shards, succeed};

#[test]
fn cifar_arrives_byte_for_byte_in_order() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 4);
    let said = succeed(dir.path(), &["cifar", "-o", "out", "--shard-size", "9000"]);
    assert!(
        said.contains(
            "train: 20 images of [3, 32, 32] uint8, 10 classes, in 10 files in out"
        ),
        "{said}"
    );
    assert!(said.contains("baked: nothing; left to train: ToTensor"), "{said}");
    let train = shards(dir.path(), "train");
    assert_eq!(
        (train.len(), train.shards().len(), train.image_shape()),
        (20, 10, Some([3, 32, 32]))
    );
    for n in 0..20 {
        assert_eq!(train.label(n).unwrap(), n as i64 % 10);
        // CIFAR's records are channels first, shards channels last.
        let expected: Vec<u8> = (0..1024)
            .flat_map(|i| [0, 1024, 2048].map(|plane| pixel(n, plane + i)))
            .collect();
        assert!(train.image(n).unwrap() == expected, "image {n}");
    }
    assert_eq!(train.source(5).unwrap(), "data_batch_2.bin:1");
    let meta = train.meta();
    assert_eq!((meta.dataset.as_str(), meta.classes[3].as_str()), ("cifar10", "cat"));
    assert_eq!(
        (meta.pipeline.as_str(), meta.baked.as_str(), meta.deferred.as_str()),
        ("ToTensor", "", "ToTensor")
    );
    assert_eq!(shards(dir.path(), "test").image(0).unwrap()[9], pixel(20, 3));
}

#[test]
fn images_go_through_the_pipeline_and_come_out_channels_last() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let transform = "CenterCrop(2) | RandomHorizontalFlip | ToTensor";
    succeed(
        dir.path(),
        &[
            "pets",
            "-o",
            "out",
            "--train-transform",
            transform,
            "--test-transform",
            "CenterCrop(2)",
        ],
    );
    let train = shards(dir.path(), "train");
    let meta = train.meta();
    assert_eq!(
        (meta.baked.as_str(), meta.deferred.as_str()),
        ("CenterCrop(2)", "RandomHorizontalFlip | ToTensor")
    );
    assert_eq!(meta.classes, ["cat", "dog"]);
    assert_eq!(train.image_shape(), Some([3, 2, 2]));
    // Columns 1 and 2 of 4: of image n, row y, channel c, that is element (y * 4 + x) * 3
    // + c.
    let expected: Vec<u8> = (0..2)
        .flat_map(|y| (1..3).map(move |x| (y * 4 + x) * 3))
        .flat_map(|first| (0..3).map(move |c| pixel(1, first + c)))
        .collect();
    assert_eq!(train.image(1).unwrap(), expected);
    assert_eq!(train.source(1).unwrap(), "train/cat/1.ppm");
    assert_eq!(
        (0..6).map(|i| train.label(i).unwrap()).collect::<Vec<_>>(),
        [0, 0, 0, 1, 1, 1]
    );
    assert_eq!(shards(dir.path(), "test").len(), 2);
}

#[test]
fn a_recipe_gives_the_transforms() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 1);
    fail(
        dir.path(),
        &["cifar", "-o", "out", "--recipe", "artcle"],
        2,
        "no recipe is called `artcle`",
    );
    succeed(dir.path(), &["cifar", "-o", "out", "--recipe", "article"]);
    assert_eq!(shards(dir.path(), "train").meta().pipeline, "ToTensor");
}

#[test]
fn floats_are_what_to_tensor_and_normalize_make() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let transform = "ToTensor | Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))";
    succeed(
        dir.path(),
        &["pets", "-o", "out", "--transform", transform, "--dtype", "float32"],
    );
    let train = shards(dir.path(), "train");
    assert_eq!(train.meta().deferred, "");
    let first = f32::from_le_bytes(train.image(2).unwrap()[..4].try_into().unwrap());
    assert_eq!(first, (f32::from(pixel(2, 0)) / 255.0 - 0.5) / 0.25);
}

#[test]
fn a_rerun_does_nothing_until_something_changes() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let arguments = ["pets", "-o", "out"];
    succeed(dir.path(), &arguments);
    let shard = dir.path().join("out/train-00000-of-00001.shard");
    let written = || fs::metadata(&shard).unwrap().modified().unwrap();
    let first = written();
    let said = succeed(dir.path(), &arguments);
    assert!(
        said.contains(
            "train: 6 images of [3, 2, 4] uint8, 2 classes, in 1 file: up to date"
        ),
        "{said}"
    );
    assert_eq!(written(), first);
    // Other pixels under the same name and of the same size.
    write_ppm(dir.path().join("pets/train/cat/0.ppm"), 4, 2, &[1; 24]);
    let said = succeed(dir.path(), &arguments);
    assert!(
        said.contains(
            "test: 2 images of [3, 2, 4] uint8, 2 classes, in 1 file: up to date"
        ),
        "{said}"
    );
    assert_ne!(written(), first);
    assert_eq!(shards(dir.path(), "train").image(0).unwrap(), [1; 24]);
    // A damaged shard is recognised by its header and written again.
    fs::write(&shard, b"TMSHARD\0").unwrap();
    succeed(dir.path(), &arguments);
    assert_eq!(shards(dir.path(), "train").len(), 6);
    // Another pipeline.
    let said =
        succeed(dir.path(), &["pets", "-o", "out", "--transform", "CenterCrop(1)"]);
    assert!(!said.contains("up to date"), "{said}");
    assert_eq!(shards(dir.path(), "train").image_shape(), Some([3, 1, 1]));
}

#[test]
fn images_that_changed_are_read_again_whatever_is_said_of_them() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 1);
    let folder = dir.path().join("cifar");
    let batch = folder.join("test_batch.bin");
    let source = SourceFolder::new(&folder);
    let options = OpenOptions::default();
    let detected = detect(&source, &options).unwrap();
    let mut manifest = detected.manifest;
    for files in manifest.splits.values() {
        let checksums = files.iter().map(|f| (f.clone(), "sha256:00".to_owned()));
        manifest.checksums.extend(checksums);
    }
    manifest.write(&folder).unwrap();
    succeed(dir.path(), &["cifar", "-o", "out"]);
    let digest = shards(dir.path(), "test").meta().digest.clone();
    // With another modification time and the same bytes nothing has changed.
    let set_modified = |time| {
        fs::File::options()
            .append(true)
            .open(&batch)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    let time = fs::metadata(&batch).unwrap().modified().unwrap();
    set_modified(time + Duration::from_secs(5));
    assert!(succeed(dir.path(), &["cifar", "-o", "out"]).contains("test: 1 image of"));
    assert_eq!(shards(dir.path(), "test").meta().digest, digest);
    set_modified(time);
    // The same size, time and checksum in dataset.toml, but other pixels.
    let mut bytes = fs::read(&batch).unwrap();
    bytes[1..].iter_mut().for_each(|byte| *byte = 255 - *byte);
    fs::write(&batch, &bytes).unwrap();
    set_modified(time);
    let said = succeed(dir.path(), &["cifar", "-o", "out"]);
    assert!(!said.lines().any(|l| l.starts_with("test") && l.contains("up to date")));
    let test = shards(dir.path(), "test");
    assert_ne!(test.meta().digest, digest);
    assert_eq!(test.image(0).unwrap()[0], bytes[1]);
}

#[test]
fn shards_of_an_earlier_run_are_removed_and_nothing_else() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    succeed(dir.path(), &["pets", "-o", "out", "--shard-size", "50"]);
    fs::write(dir.path().join("out/train-notes.txt"), "mine").unwrap();
    assert_eq!(names(dir.path().join("out")).len(), 3 + 1 + 1);
    let said = succeed(dir.path(), &["pets", "-o", "out", "--split", "train"]);
    assert!(said.contains("removed 3 files of an earlier run"), "{said}");
    let expected =
        ["test-00000-of-00001.shard", "train-00000-of-00001.shard", "train-notes.txt"];
    assert_eq!(names(dir.path().join("out")), expected);
}

#[test]
fn one_heap_is_split_by_fraction_and_inputs_are_joined() {
    let dir = Sandbox::new();
    for i in 0..8 {
        write_ppm(dir.path().join(format!("cat/{i}.ppm")), 1, 1, &[i, 0, 0]);
        write_ppm(dir.path().join(format!("dog/{i}.ppm")), 1, 1, &[i, 1, 0]);
    }
    let said = succeed(dir.path(), &["dog", "cat", "-o", "out"]);
    assert!(said.contains("--test-fraction 0.2 makes a test split"), "{said}");
    assert_eq!(shards(dir.path(), "train").len(), 16);
    succeed(
        dir.path(),
        &["dog", "cat", "-o", "out", "--test-fraction", "0.25", "--seed", "3"],
    );
    let (train, test) = (shards(dir.path(), "train"), shards(dir.path(), "test"));
    assert_eq!(
        (train.len(), test.len(), train.meta().classes.join(" ").as_str()),
        (12, 4, "cat dog")
    );
    assert_eq!(train.label(0).unwrap(), 1, "dogs came first");
    let mut all: Vec<_> = (0..12).map(|i| train.source(i).unwrap()).collect();
    all.extend((0..4).map(|i| test.source(i).unwrap()));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 16, "every image is in one split");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 7);
    let with = |threads: &str| {
        let mut command = command(&[
            "cifar",
            "-o",
            "-",
            "--split",
            "train",
            "--shard-size",
            "20000",
            "--transform",
            "Resize(5)",
        ]);
        let output = command
            .current_dir(dir.path())
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(output.status.success());
        output.stdout
    };
    assert_eq!(with("1"), with("7"));
}

#[test]
fn inspect_says_what_a_shard_holds() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    succeed(dir.path(), &["pets", "-o", "out"]);
    let text = printed(dir.path(), &["--inspect", "out/train-00000-of-00001.shard"]);
    let text = String::from_utf8(text).unwrap();
    for line in [
        "images     6 of [3, 2, 4] uint8",
        "deferred   ToTensor",
        "       1  dog                           3",
    ] {
        assert!(text.lines().any(|l| l == line), "{text}");
    }
    let stream = printed(
        dir.path(),
        &["pets", "-o", "-", "--split", "train", "--shard-size", "50"],
    );
    let text = String::from_utf8(pipe(dir.path(), &["--inspect", "-"], &stream)).unwrap();
    assert_eq!(text.matches("sound, all checksums match").count(), 3);
    let lines =
        String::from_utf8(pipe(dir.path(), &["--inspect", "-", "--json"], &stream))
            .unwrap();
    let last: serde_json::Value =
        serde_json::from_str(lines.lines().nth(2).unwrap()).unwrap();
    assert_eq!(
        (last["count"].as_u64(), last["meta"]["index"].as_u64()),
        (Some(2), Some(2))
    );
    let path = dir.path().join("out/train-00000-of-00001.shard");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = run(dir.path(), &["--inspect", "out/train-00000-of-00001.shard"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("checksum of `source`"));
}

/// Runs prep with work for minutes and sends it a signal, which therefore always arrives
/// in the middle.
#[cfg(unix)]
fn signalled(dir: &Path, signal: &str) -> std::process::Output {
    let arguments =
        ["cifar", "-o", "out", "--transform", "Resize(3000)", "--shard-size", "27MB"];
    let child =
        command(&arguments).current_dir(dir).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while names(dir.join("out")).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(100), "nothing was ever written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_that_looks_whole() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 40);
    let output = signalled(dir.path(), "-INT");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "prep: interrupted\n");
    assert_eq!(names(dir.path().join("out")), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn killed_it_leaves_nothing_that_looks_whole() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 40);
    assert_eq!(signalled(dir.path(), "-KILL").status.code(), None);
    let names = names(dir.path().join("out"));
    assert!(names.iter().all(|name| name.starts_with('.')), "{names:?}");
    // The temporary files do not mislead the next run.
    assert!(run(dir.path(), &["cifar", "-o", "out"]).status.success());
    assert_eq!(shards(dir.path(), "train").len(), 200);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_prep_quietly() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 20);
    let arguments = ["cifar", "-o", "-", "--split", "train", "--shard-size", "30000"];
    let mut child = command(&arguments)
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
        (Some(0), "")
    );
}
