//! Small data sets made on the spot, and the built program to run on them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it; a test may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use tempfile::tempdir;
use torchmill::shard::ShardSet;

/// prep with these arguments, its standard input empty.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prep"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs prep in `folder`.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(arguments).current_dir(folder).output().unwrap()
}

/// Runs prep, which must succeed; returns what it said on standard error.
#[track_caller]
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// Runs prep with this on its standard input, which must succeed; returns what it wrote
/// to standard output.
#[track_caller]
pub fn pipe(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut command = command(arguments);
    command
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs prep, which must write to standard output and succeed.
#[track_caller]
pub fn stdout(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs prep, which must fail with this status and say one line that holds `what`, and
/// leave no shard.
#[track_caller]
pub fn fail(folder: &Path, arguments: &[&str], status: i32, what: &str) {
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("prep: ") && last.contains(what), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    assert_eq!(left(&folder.join("out")), Vec::<String>::new());
}

/// What lies in a folder, sorted; nothing where it is missing.
pub fn left(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The shards of a split in `folder/out`, their checksums checked.
#[track_caller]
pub fn shards(folder: &Path, split: &str) -> ShardSet {
    let set = ShardSet::open(&folder.join("out"), split).unwrap();
    set.verify().unwrap();
    set
}

/// Pixel `i` of image `n`: something that differs everywhere.
pub fn pixel(n: usize, i: usize) -> u8 {
    (n * 31 + i * 7 + i / 256) as u8
}

/// CIFAR-10's binary version with `per_batch` images a batch in `folder/cifar`; image `n`
/// counts through the training batches, the test batch goes on from there.
pub fn cifar(folder: &Path, per_batch: usize) {
    let at = folder.join("cifar");
    fs::create_dir_all(&at).unwrap();
    for batch in 0..6 {
        let records = (0..per_batch).map(|i| batch * per_batch + i);
        let bytes: Vec<u8> = records
            .flat_map(|n| {
                std::iter::once((n % 10) as u8).chain((0..3072).map(move |i| pixel(n, i)))
            })
            .collect();
        let name = if batch == 5 {
            "test_batch.bin".to_owned()
        } else {
            format!("data_batch_{}.bin", batch + 1)
        };
        fs::write(at.join(name), bytes).unwrap();
    }
    let names =
        "airplane automobile bird cat deer dog frog horse ship truck".replace(' ', "\n");
    fs::write(at.join("batches.meta.txt"), names + "\n\n").unwrap();
}

/// An image in PPM: its pixels as they are, channels last.
pub fn ppm(path: impl AsRef<Path>, width: usize, height: usize, pixels: &[u8]) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, [format!("P6 {width} {height} 255\n").as_bytes(), pixels].concat())
        .unwrap();
}

/// `train` and `test` below `folder/pets`, 3 and 1 images of 4 x 2 of cats and dogs.
pub fn pets(folder: &Path) -> PathBuf {
    let root = folder.join("pets");
    for (c, class) in ["cat", "dog"].iter().enumerate() {
        for i in 0..4 {
            let split = if i == 3 { "test" } else { "train" };
            let pixels: Vec<u8> = (0..24).map(|k| pixel(c * 4 + i, k)).collect();
            ppm(root.join(format!("{split}/{class}/{i}.ppm")), 4, 2, &pixels);
        }
    }
    root
}
