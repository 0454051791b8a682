//! An error is one line with the right exit status, and leaves nothing behind.

use std::fs;
use std::process::Stdio;

use torchmill_testing::{Sandbox, write_cifar10, write_pets, write_ppm};

use crate::{command, fail, run, succeed};

#[test]
fn a_damaged_batch_of_cifar() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 2);
    let batch = dir.path().join("cifar/data_batch_4.bin");
    let bytes = fs::read(&batch).unwrap();
    fs::write(&batch, &bytes[..bytes.len() - 1]).unwrap();
    fail(
        dir.path(),
        &["cifar", "-o", "out"],
        1,
        "cifar/data_batch_4.bin: has 6,145 bytes, which is not a whole number",
    );
    let mut wrong = bytes;
    wrong[3073] = 77;
    fs::write(&batch, wrong).unwrap();
    let what = "data_batch_4.bin: record 1 (at byte 3073) has label 77, but there are 10 classes";
    fail(dir.path(), &["cifar", "-o", "out"], 1, what);
}

#[test]
fn folders_without_images_and_files_that_are_none() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    fs::create_dir(dir.path().join("empty")).unwrap();
    fail(dir.path(), &["empty", "-o", "out"], 1, "empty holds no data set: looked for");
    fail(
        dir.path(),
        &["gone", "-o", "out"],
        1,
        "cannot read gone: no such file or folder",
    );
    fail(
        dir.path(),
        &["pets/train/cat/0.ppm", "-o", "out"],
        1,
        "pets/train/cat/0.ppm is a file",
    );
    fs::create_dir(dir.path().join("pets/train/eel")).unwrap();
    fail(dir.path(), &["pets", "-o", "out"], 1, "pets/train/eel holds no images");
    fs::remove_dir(dir.path().join("pets/train/eel")).unwrap();
    fs::write(dir.path().join("pets/train/dog/1.png"), "not a picture").unwrap();
    fail(dir.path(), &["pets", "-o", "out"], 1, "pets/train/dog/1.png: is not an image");
    fs::write(dir.path().join("pets/train/dog/1.png"), []).unwrap();
    fail(dir.path(), &["pets", "-o", "out"], 1, "pets/train/dog/1.png: is not an image");
}

#[test]
fn images_of_different_sizes() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    write_ppm(dir.path().join("pets/train/dog/0.ppm"), 3, 2, &[0; 18]);
    let what = "pets/train/dog/0.ppm: is [3, 2, 3] ([channels, height, width]) after the pipeline, but \
                pets/train/cat/0.ppm is [3, 2, 4]";
    fail(dir.path(), &["pets", "-o", "out"], 1, what);
    fail(
        dir.path(),
        &["pets", "-o", "out"],
        1,
        "put Resize((2, 4)), or Resize(2) | CenterCrop(2)",
    );
    succeed(dir.path(), &["pets", "-o", "out", "--transform", "Resize((2, 4))"]);
}

#[test]
fn pipelines_that_cannot_be() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    fail(
        dir.path(),
        &["pets", "-o", "out", "--transform", "Resise(3)"],
        2,
        "did you mean Resize?",
    );
    fail(
        dir.path(),
        &["pets", "-o", "out", "--transform", "RandomCrop(9)"],
        1,
        "RandomCrop",
    );
    let late = "ToTensor | Resize(9)";
    fail(
        dir.path(),
        &["pets", "-o", "out", "--transform", late, "--dtype", "float32"],
        2,
        "Resize",
    );
    let random = [
        "pets",
        "-o",
        "out",
        "--transform",
        "RandomHorizontalFlip | ToTensor",
        "--dtype",
        "float32",
    ];
    fail(dir.path(), &random, 2, "a random step comes before it");
}

#[test]
fn options_that_do_not_go_together() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    fail(
        dir.path(),
        &["pets", "-o", "-"],
        2,
        "standard output takes one split: give --split train or --split test",
    );
    fail(
        dir.path(),
        &["pets", "-o", "out", "--split", "dev"],
        2,
        "there is no split `dev`, only test, train",
    );
    fail(
        dir.path(),
        &["pets", "-o", "out", "--test-fraction", "0.1"],
        2,
        "every input has one",
    );
    fail(
        dir.path(),
        &["pets", "-o", "out", "--format", "npy", "--dtype", "bfloat16"],
        2,
        "npy has no bfloat16",
    );
    fail(
        dir.path(),
        &["pets", "-o", "out", "--format", "tar", "--dtype", "float32"],
        2,
        "png holds whole numbers",
    );
    let fraction = run(dir.path(), &["pets", "-o", "out", "--test-fraction", "1.5"]);
    assert_eq!(fraction.status.code(), Some(2));
    assert_eq!(run(dir.path(), &["pets"]).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_in_a_list_are_no_images() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("pipe.jpg"))
        .status()
        .unwrap();
    assert!(made.success());
    for path in ["pipe.jpg", "/dev/zero"] {
        fs::write(dir.path().join("list.csv"), format!("{path},cat\n")).unwrap();
        fail(
            dir.path(),
            &["list.csv", "-o", "out"],
            1,
            &format!("{path} is not a regular file"),
        );
    }
}

#[test]
fn an_unwritable_folder_and_a_file_in_the_way() {
    let dir = Sandbox::new();
    write_pets(dir.path());
    fs::write(dir.path().join("file"), "mine").unwrap();
    let output = run(dir.path(), &["pets", "-o", "file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("prep: cannot make the folder file: ")
    );
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"mine");
    // No user, not even root, can create a file in /proc.
    #[cfg(target_os = "linux")]
    {
        let output = run(dir.path(), &["pets", "-o", "/proc"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("prep: cannot write in /proc: ")
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let dir = Sandbox::new();
    write_cifar10(&dir.join("cifar"), 4);
    for format in ["shard", "safetensors", "npy", "tar", "csv", "jsonl"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let child =
            command(&["cifar", "--split", "train", "-o", "-", "--format", format])
                .current_dir(dir.path())
                .stdout(full)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(1), 1),
            "{format}: {said}"
        );
        assert!(
            said.starts_with("prep: standard output: cannot write"),
            "{format}: {said}"
        );
        assert!(said.ends_with(": no space left on the disk\n"), "{format}: {said}");
    }
}
