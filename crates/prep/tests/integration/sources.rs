//! Tars, Parquet files and JSON lines as inputs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use torchmill::shard::ShardSet;
use torchmill_testing::{Sandbox, write_ppm};

use crate::{fail, pipe, shards, succeed};

fn ppm(level: u8) -> Vec<u8> {
    [b"P6\n2 2\n255\n".to_vec(), vec![level; 12]].concat()
}

/// A tar with these files.
fn write_tar(path: PathBuf, files: &[(&str, Vec<u8>)]) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        builder.append_data(&mut header, name, &contents[..]).unwrap();
    }
    fs::write(path, builder.into_inner().unwrap()).unwrap();
}

/// Two tars of two images each: of a cat (level 10 and 30) and of a dog (20 and 40).
fn tars() -> Sandbox {
    let dir = Sandbox::new();
    for (n, levels) in [[10, 20], [30, 40]].into_iter().enumerate() {
        let files = [
            ("a.ppm", ppm(levels[0])),
            ("a.cls", b"cat".to_vec()),
            ("b.ppm", ppm(levels[1])),
            ("b.json", br#"{"label": "dog"}"#.to_vec()),
        ];
        write_tar(dir.join(format!("set-{n:02}.tar")), &files);
    }
    dir
}

/// Each image's source, label and first level.
fn images(set: &ShardSet) -> Vec<(String, i64, u8)> {
    let image =
        |i| (set.source(i).unwrap(), set.label(i).unwrap(), set.image(i).unwrap()[0]);
    (0..set.len()).map(image).collect()
}

fn of_tars(prefix: &str) -> Vec<(String, i64, u8)> {
    let source = |n: usize, name| format!("{prefix}{n:02}.tar/{name}.ppm");
    vec![
        (source(0, "a"), 0, 10),
        (source(0, "b"), 1, 20),
        (source(1, "a"), 0, 30),
        (source(1, "b"), 1, 40),
    ]
}

#[test]
fn tars_with_braces_are_one_data_set() {
    let dir = tars();
    fail(dir.path(), &["set-{0..9.tar", "-o", "x"], 2, "`{` has no `}` after it");
    fail(dir.path(), &["set-{00..02}.tar", "-o", "x"], 1, "set-02.tar");
    let said = succeed(dir.path(), &["set-{00..01}.tar", "-o", "out"]);
    assert!(said.contains("train: 4 images of [3, 2, 2] uint8"), "{said}");
    let set = shards(dir.path(), "train");
    assert_eq!(set.meta().classes, ["cat", "dog"]);
    assert_eq!(images(&set), of_tars("set-"));
    let again = succeed(dir.path(), &["set-00.tar", "set-01.tar", "-o", "out"]);
    assert!(again.contains("up to date, nothing done"), "{again}");
    // The folder that holds them gives the same data set.
    let folder = succeed(dir.path(), &[".", "-o", "out"]);
    assert!(folder.contains("4 images"), "{folder}");
}

#[test]
fn image_files_in_tars_are_kept_as_they_are() {
    let dir = tars();
    let pipeline = "RandomResizedCrop(1) | ToTensor";
    let command =
        ["set-00.tar", "--store", "encoded", "--transform", pipeline, "-o", "out"];
    succeed(dir.path(), &command);
    assert_eq!(shards(dir.path(), "train").image(1).unwrap(), ppm(20));
}

#[test]
fn archives_come_from_standard_input() {
    let dir = tars();
    let tar = fs::read(dir.join("set-01.tar")).unwrap();
    pipe(dir.path(), &["-", "-o", "out"], &tar);
    let found = images(&shards(dir.path(), "train"));
    assert_eq!(found[0], ("stream/a.ppm".to_owned(), 0, 30));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar).unwrap();
    let packed = gzip.finish().unwrap();
    pipe(dir.path(), &["-", "-o", "gzipped"], &packed);
    let read = |name: &str| fs::read(dir.join(name).join("train-00000-of-00001.shard"));
    assert_eq!(read("out").unwrap(), read("gzipped").unwrap());
    let parquet = fs::read(golden("huggingface.parquet")).unwrap();
    let lines = pipe(dir.path(), &["-", "-o", "-", "--format", "jsonl"], &parquet);
    assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 150);
    // A list that is shorter than a tar's header is still a list.
    fs::create_dir(dir.join("cat")).unwrap();
    write_ppm(dir.join("cat/1.ppm"), 2, 2, &[5; 12]);
    let lines = pipe(dir.path(), &["-", "-o", "-", "--format", "jsonl"], b"cat/1.ppm\n");
    assert!(String::from_utf8(lines).unwrap().contains("cat/1.ppm"));
}

/// See crates/torchmill/tests/golden/parquet.py.
fn golden(name: &str) -> PathBuf {
    let folder =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../torchmill/tests/golden/parquet");
    Path::new(folder).join(name)
}

#[test]
fn parquet_files_of_a_folder_are_splits() {
    let dir = Sandbox::new();
    let data = dir.join("pets/data");
    fs::create_dir_all(&data).unwrap();
    for split in ["train", "test"] {
        let name = format!("{split}-00000-of-00001.parquet");
        fs::copy(golden("huggingface.parquet"), data.join(name)).unwrap();
    }
    let said = succeed(dir.path(), &["pets", "-o", "out"]);
    assert!(said.contains("test: 150 images") && said.contains("train: 150"), "{said}");
    let set = shards(dir.path(), "test");
    assert_eq!(set.meta().classes, ["cat", "dog", "owl"]);
    let source = "data/test-00000-of-00001.parquet:149".to_owned();
    assert_eq!(images(&set)[149], (source, 1, 149));
}

#[test]
fn what_contradicts_itself_is_refused_before_anything_is_written() {
    let dir = Sandbox::new();
    let label = |text: &str| text.as_bytes().to_vec();
    let labelled = [("a.ppm", ppm(1)), ("a.cls", label("0")), ("b.ppm", ppm(2))];
    write_tar(dir.join("unlabelled.tar"), &labelled);
    let beyond = [("a.ppm", ppm(1)), ("a.cls", label("2"))];
    fs::create_dir(dir.join("known")).unwrap();
    write_tar(dir.join("known/train.tar"), &beyond);
    let manifest = "name = \"known\"\nkind = \"webdataset\"\nclasses = [\"cat\", \"dog\"]\n\
                    source = \"\"\nverified = false\nsplits = { train = [\"train.tar\"] }\n";
    fs::write(dir.join("known/dataset.toml"), manifest).unwrap();
    let twice = [
        ("a.ppm", ppm(1)),
        ("a.cls", label("0")),
        ("b.ppm", ppm(2)),
        ("b.cls", label("1")),
    ];
    write_tar(dir.join("twice.tar"), &[&twice[..], &twice[..2]].concat());
    for name in ["other", "gzip", "huggingface"] {
        let name = format!("{name}.parquet");
        fs::copy(golden(&name), dir.join(name)).unwrap();
    }
    for (inputs, message) in [
        (&["unlabelled.tar"][..], "unlabelled.tar/b.ppm has no label"),
        (&["known"], "a.cls: the label 2 is beyond the 2 classes"),
        (&["twice.tar"], "twice.tar: two images have the key a"),
        (&["other.parquet"], "other.parquet: no column is known to hold the images"),
        (&["gzip.parquet", "other.parquet"], "other.parquet: no column is known"),
        (
            &["gzip.parquet", "huggingface.parquet"],
            "huggingface.parquet: the classes in its metadata are not those",
        ),
    ] {
        fail(dir.path(), &[inputs, &["-o", "out"]].concat(), 1, message);
    }
}

#[test]
fn a_row_without_an_image_can_be_left_out() {
    let dir = Sandbox::new();
    fs::copy(golden("nulls.parquet"), dir.join("nulls.parquet")).unwrap();
    fail(
        dir.path(),
        &["nulls.parquet", "-o", "out"],
        1,
        "nulls.parquet, row 1: is empty",
    );
    let command = ["nulls.parquet", "--skip-bad", "bad.txt", "-o", "out"];
    let said = succeed(dir.path(), &command);
    assert!(said.contains("1 image"), "{said}");
    let listed = fs::read_to_string(dir.join("bad.txt")).unwrap();
    assert!(listed.starts_with("nulls.parquet, row 1\t"), "{listed}");
}

#[test]
fn json_lines_and_named_columns_are_read() {
    let dir = Sandbox::new();
    write_ppm(dir.join("1.ppm"), 2, 2, &[7; 12]);
    let line = r#"{"file_name": "1.ppm", "breed": "pug", "mood": "calm"}"#;
    fs::write(dir.join("dogs.jsonl"), format!("{line}\n")).unwrap();
    fail(
        dir.path(),
        &["dogs.jsonl", "--columns", "label=x", "-o", "out"],
        1,
        "dogs.jsonl, line 1: has no column `x`",
    );
    succeed(dir.path(), &["dogs.jsonl", "--columns", "label=mood", "-o", "out"]);
    let set = shards(dir.path(), "train");
    assert_eq!((set.meta().classes.join(" "), set.len()), ("calm".to_owned(), 1));
}
