//! Which images are selected, how copies are drawn, and what `--stats` and others print.

use std::fs;
use std::path::Path;

use torchmill_testing::{Sandbox, names, pixel, write_cifar10, write_pets, write_ppm};

use crate::{fail, pipe, printed, run, shards, succeed};

fn json(line: &[u8]) -> serde_json::Value {
    serde_json::from_slice(line).unwrap()
}

fn sources(folder: &Path, split: &str) -> Vec<String> {
    let set = shards(folder, split);
    (0..set.len()).map(|i| set.source(i).unwrap()).collect()
}

#[test]
fn bad_images_are_left_out_and_listed() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    // The first image, which sets the size, and one in the middle of a shard.
    fs::write(dir.path().join("pets/train/cat/0.ppm"), "P6 4 2 255\nshort").unwrap();
    fs::write(dir.path().join("pets/train/dog/1.ppm"), "no image").unwrap();
    fail(
        dir.path(),
        &["pets", "-o", "out"],
        1,
        "pets/train/cat/0.ppm: cannot be decoded",
    );
    let said = succeed(dir.path(), &["pets", "-o", "out", "--skip-bad", "bad.tsv"]);
    assert!(
        said.contains("train: 4 images") && said.contains("2 bad images were left out"),
        "{said}"
    );
    let train = shards(dir.path(), "train");
    assert_eq!((0..4).map(|i| train.label(i).unwrap()).collect::<Vec<_>>(), [0, 0, 1, 1]);
    let expected =
        ["train/cat/1.ppm", "train/cat/2.ppm", "train/dog/0.ppm", "train/dog/2.ppm"];
    assert_eq!(sources(dir.path(), "train"), expected);
    // Image 2 of the shard: that of dog/0, the fifth file.
    let pixels: Vec<u8> = (0..24).map(|i| pixel(4, i)).collect();
    assert_eq!(train.image(2).unwrap(), pixels);
    let list = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("pets/train/cat/0.ppm\tcannot be decoded"), "{list}");
    assert!(lines[1].starts_with("pets/train/dog/1.ppm\tis not an image"), "{list}");
    let stream =
        ["pets", "--split", "train", "-o", "-", "--skip-bad", "bad2.tsv", "--format"];
    let rows = printed(dir.path(), &[&stream[..], &["csv"]].concat());
    assert_eq!(String::from_utf8(rows).unwrap().lines().count(), 5);
    let npy = run(dir.path(), &[&stream[..], &["npy"]].concat());
    assert_eq!(npy.status.code(), Some(2));
    for name in ["cat/1", "cat/2", "dog/0", "dog/2"] {
        fs::write(dir.path().join(format!("pets/train/{name}.ppm")), "").unwrap();
    }
    let all = run(dir.path(), &["pets", "-o", "elsewhere", "--skip-bad", "bad.tsv"]);
    assert!(
        String::from_utf8(all.stderr)
            .unwrap()
            .contains("none of the 6 images of the split `train`")
    );
}

#[test]
fn a_line_break_in_a_name_does_not_break_the_list_of_bad_images() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    fs::write(dir.path().join("pets/train/cat/a\nb\tc.ppm"), "").unwrap();
    succeed(dir.path(), &["pets", "-o", "out", "--skip-bad", "bad.tsv"]);
    let list = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
    assert!(list.starts_with("pets/train/cat/a\\nb\\tc.ppm\t"), "{list}");
    assert_eq!((list.lines().count(), list.matches('\t').count()), (1, 1), "{list}");
    // The same name through `find -print0`.
    let found =
        b"pets/train/cat/0.ppm\0pets/train/cat/a\nb\tc.ppm\0pets/train/dog/0.ppm\0";
    pipe(dir.path(), &["-", "-o", "piped", "--skip-bad", "bad.tsv"], found);
    let again = fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
    assert_eq!(again, list);
}

#[test]
fn classes_and_limit_choose() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 8);
    succeed(dir.path(), &["cifar", "-o", "out", "--classes", "dog,cat", "--limit", "5"]);
    let train = shards(dir.path(), "train");
    assert_eq!(train.meta().classes, ["dog", "cat"]);
    // Classes 3 (cat) and 5 (dog) of 40 images: 3, 5, 13, 15, 23, 25, 33, 35, of which
    // three dogs and two cats are taken.
    let images: Vec<_> =
        (0..5).map(|i| (train.image(i).unwrap()[0], train.label(i).unwrap())).collect();
    let expected = [3, 5, 15, 23, 25].map(|n| (pixel(n, 0), i64::from(n % 10 == 3)));
    assert_eq!(images, expected);
    let output = run(dir.path(), &["cifar", "-o", "out", "--classes", "unicorn"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("there is no class `unicorn`, only airplane")
    );
}

#[test]
fn lists_come_from_standard_input_and_from_csv() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let found = "pets/train/cat/0.ppm\npets/train/dog/1.ppm\tcat\npets/train/dog/0.ppm\n";
    pipe(dir.path(), &["-", "-o", "out"], found.as_bytes());
    let train = shards(dir.path(), "train");
    assert_eq!(train.meta().classes, ["cat", "dog"]);
    assert_eq!((0..3).map(|i| train.label(i).unwrap()).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(train.source(1).unwrap(), "pets/train/dog/1.ppm");
    let csv =
        "label,path,split\nfelis,train/cat/0.ppm,train\ncanis,test/dog/3.ppm,test\n";
    fs::write(dir.path().join("pets/pets.csv"), csv).unwrap();
    succeed(dir.path(), &["pets/pets.csv", "-o", "out"]);
    assert_eq!(sources(dir.path(), "test"), ["test/dog/3.ppm"]);
    assert_eq!(shards(dir.path(), "train").meta().classes, ["canis", "felis"]);
    fs::write(dir.path().join("gone.csv"), "gone/cat/1.jpg\n").unwrap();
    let output = run(dir.path(), &["gone.csv", "-o", "out2"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("prep: cannot read gone/cat/1.jpg: no such file"), "{said}");
}

#[test]
fn a_list_makes_the_test_split() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let list = dir.path().join("test.txt");
    fs::write(&list, "cat/1.ppm\ndog/0.ppm\n").unwrap();
    succeed(dir.path(), &["pets/train", "-o", "out", "--test-list", "test.txt"]);
    assert_eq!(sources(dir.path(), "test"), ["cat/1.ppm", "dog/0.ppm"]);
    assert_eq!(shards(dir.path(), "train").len(), 4);
    fs::write(&list, "cat/9.ppm\n").unwrap();
    let output =
        run(dir.path(), &["pets/train", "-o", "out3", "--test-list", "test.txt"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("test.txt: lists cat/9.ppm, which is not in train"), "{said}");
}

#[test]
fn copies_are_drawn_by_seed() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let transform = "RandomCrop(1) | ToTensor";
    let arguments = |seed: &'static str| {
        [
            "pets",
            "-o",
            "out",
            "--split",
            "train",
            "--train-transform",
            transform,
            "--augment",
            "20",
            "--seed",
            seed,
        ]
    };
    let drawn = |seed| {
        succeed(dir.path(), &arguments(seed));
        let train = shards(dir.path(), "train");
        assert_eq!((train.len(), train.image_shape()), (120, Some([3, 1, 1])));
        assert_eq!(
            (train.meta().baked.as_str(), train.meta().deferred.as_str()),
            ("RandomCrop(1)", "ToTensor")
        );
        assert_eq!(
            (train.label(5).unwrap(), train.label(6).unwrap()),
            (1, 0),
            "copy by copy"
        );
        (0..120).map(|i| train.image(i).unwrap().to_vec()).collect::<Vec<_>>()
    };
    let (first, again, other) = (drawn("1"), drawn("1"), drawn("2"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    // Image 0's copies show many of its eight pixels, and nothing else.
    let mut seen: Vec<_> = first.iter().step_by(6).cloned().collect();
    seen.sort();
    seen.dedup();
    let own = |p: &Vec<u8>| (0..8).any(|i| (0..3).all(|c| p[c] == pixel(0, i * 3 + c)));
    assert!(seen.len() >= 4 && seen.iter().all(own), "{seen:?}");
    assert!(succeed(dir.path(), &arguments("2")).contains("up to date"));
}

#[test]
fn statistics_are_those_of_the_pixels() {
    let dir = Sandbox::new();
    write_ppm(dir.path().join("in/cat/1.ppm"), 2, 1, &[0, 51, 255, 255, 51, 255]);
    write_ppm(dir.path().join("in/dog/1.ppm"), 1, 2, &[0, 51, 0, 255, 51, 0]);
    let text = String::from_utf8(printed(dir.path(), &["in", "--stats"])).unwrap();
    assert!(text.contains("Normalize((0.5, 0.2, 0.5), (0.5, 0, 0.5))"), "{text}");
    assert!(text.contains("2 sizes, from 1 x 2 to 2 x 1"), "{text}");
    let stats = json(&printed(
        dir.path(),
        &["in", "--stats", "--json", "--transform", "CenterCrop(1)"],
    ));
    assert_eq!(
        (stats["images"].as_u64(), stats["classes"]["dog"].as_u64()),
        (Some(2), Some(1))
    );
    assert_eq!(stats["sizes"].as_array().unwrap().len(), 2);
    assert_eq!(stats["baked"], "CenterCrop(1)");
}

#[test]
fn statistics_are_of_one_kind_of_image_and_written_as_they_are_rounded() {
    let dir = Sandbox::new();
    write_ppm(dir.path().join("in/cat/1.ppm"), 1, 1, &[50, 51, 52]);
    let line =
        String::from_utf8(printed(dir.path(), &["in", "--stats", "--json"])).unwrap();
    assert!(line.contains("\"mean\":[0.196078,0.2,0.203922]"), "{line}");
    // A grey data set next to a coloured one.
    fs::create_dir(dir.path().join("grey")).unwrap();
    let (images, labels) = (
        [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9][..]].concat(),
        [0, 0, 8, 1, 0, 0, 0, 1, 0],
    );
    fs::write(dir.path().join("grey/train-images-idx3-ubyte"), images).unwrap();
    fs::write(dir.path().join("grey/train-labels-idx1-ubyte"), labels).unwrap();
    let both = run(dir.path(), &["in", "grey", "--stats"]);
    assert_eq!(both.status.code(), Some(1));
    let said = String::from_utf8(both.stderr).unwrap();
    assert!(said.contains("some images have 1 channel and others 3"), "{said}");
    printed(dir.path(), &["in", "grey", "--stats", "--transform", "Grayscale"]);
}

#[test]
fn a_part_without_files_says_so() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let said = succeed(dir.path(), &["pets", "-o", "out", "--part", "1/2"]);
    assert!(
        said.contains("train: nothing in part 1 of 2: there is 1 file in all"),
        "{said}"
    );
    assert!(!said.contains("up to date"), "{said}");
}

#[test]
fn normalize_auto_takes_the_train_split() {
    let dir = Sandbox::new();
    write_ppm(dir.path().join("in/train/cat/1.ppm"), 2, 1, &[0, 0, 0, 255, 102, 51]);
    write_ppm(dir.path().join("in/test/cat/1.ppm"), 2, 1, &[9, 9, 9, 9, 9, 9]);
    let arguments = ["in", "-o", "out", "--transform", "ToTensor | Normalize(auto)"];
    succeed(dir.path(), &arguments);
    let expected = "ToTensor | Normalize((0.5, 0.2, 0.1), (0.5, 0.2, 0.1))";
    for split in ["train", "test"] {
        assert_eq!(shards(dir.path(), split).meta().deferred, expected);
    }
    let said = succeed(dir.path(), &arguments);
    assert!(
        said.contains("test: 1 image of")
            && said.contains("up to date")
            && !said.contains("auto) is"),
        "{said}"
    );
    // The test split's shard depends on the train split.
    write_ppm(dir.path().join("in/train/cat/1.ppm"), 2, 1, &[0, 0, 0, 255, 255, 255]);
    succeed(dir.path(), &arguments);
    assert!(
        shards(dir.path(), "test")
            .meta()
            .deferred
            .ends_with("Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))")
    );
    let floats = [&arguments[..], &["--dtype", "float32"]].concat();
    succeed(dir.path(), &floats);
    let first = f32::from_le_bytes(
        shards(dir.path(), "train").image(0).unwrap()[..4].try_into().unwrap(),
    );
    assert_eq!(first, -1.0);
}

#[test]
fn parts_make_the_same_files_as_one_run() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 5);
    for format in ["shard", "tar", "npy"] {
        let run = |out: &str, more: &[&str]| {
            let base = [
                "cifar",
                "-o",
                out,
                "--format",
                format,
                "--shard-size",
                "13000",
                "--transform",
                "Resize(9)",
            ];
            succeed(dir.path(), &[&base[..], more].concat());
        };
        run(&format!("one-{format}"), &[]);
        for part in ["3/3", "1/3", "2/3"] {
            run(&format!("parts-{format}"), &["--part", part]);
        }
        let (one, parts) = (
            dir.path().join(format!("one-{format}")),
            dir.path().join(format!("parts-{format}")),
        );
        let data = |folder: &Path| {
            let mut names = names(folder);
            names.retain(|n| !n.ends_with(".json"));
            names
        };
        assert!(data(&one).len() >= 2, "{:?}", names(&one));
        assert_eq!(data(&one), data(&parts));
        for name in data(&one) {
            assert_eq!(
                fs::read(one.join(&name)).unwrap(),
                fs::read(parts.join(&name)).unwrap(),
                "{name}"
            );
        }
    }
}

#[test]
fn pipelines_that_are_probably_a_mistake_are_named() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let said = succeed(
        dir.path(),
        &["pets", "-o", "out", "--transform", "RandomCrop(2) | ToTensor"],
    );
    assert!(
        said.contains("the test pipeline has a random step, RandomCrop(2)"),
        "{said}"
    );
    let train = "RandomCrop(2) | ToTensor | Normalize((0.5,), (0.2,))";
    let with_test = |test: &str| {
        let transforms = ["--train-transform", train, "--test-transform", test];
        succeed(dir.path(), &[&["pets", "-o", "out"][..], &transforms].concat())
    };
    let said = with_test("CenterCrop(2) | ToTensor");
    assert!(said.contains("and test images through no Normalize"), "{said}");
    let said = with_test("CenterCrop(2) | ToTensor | Normalize((0.5,), (0.2,))");
    assert!(!said.contains("note: "), "{said}");
}

#[test]
fn values_too_large_for_float16_are_said() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    // The second cannot be done by looking up levels in a table.
    for transform in [
        "ToTensor | Normalize((0,), (0.000001,))",
        "ToTensor | RandomHorizontalFlip(0.0) | Normalize((0,), (0.000001,))",
    ] {
        let with = |dtype: &str| {
            let transforms = ["--transform", transform, "--dtype", dtype];
            let output = ["pets", "-o", "out", "--format", "npy", "--augment", "1"];
            succeed(
                dir.path(),
                &[&output[..], &transforms, &["--split", "train"]].concat(),
            )
        };
        if !transform.contains("Random") {
            let plain = ["pets", "-o", "out", "--format", "npy", "--dtype", "float16"];
            let said =
                succeed(dir.path(), &[&plain[..], &["--transform", transform]].concat());
            assert!(said.contains("float16 ends at 65,504"), "{said}");
            continue;
        }
        assert!(with("float16").contains("float16 ends at 65,504"));
        assert!(!with("float32").contains("65,504"));
    }
}

#[test]
fn a_class_of_bad_images_only_is_named() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    for i in 0..3 {
        std::fs::write(dir.path().join(format!("pets/train/dog/{i}.ppm")), "bad")
            .unwrap();
    }
    let said = succeed(dir.path(), &["pets", "-o", "out", "--skip-bad", "bad.tsv"]);
    assert!(
        said.contains("train: the class dog has no images left: all 3 were bad"),
        "{said}"
    );
}
