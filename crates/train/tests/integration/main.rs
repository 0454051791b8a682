//! `train` as a user runs it: on shards of generated images, interrupted, killed, resumed
//! and misused. `TORCHMILL_TEST_DEVICE` names the device.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing test is a panic")]

mod find_lr;
#[cfg(target_os = "linux")]
mod gpu;
mod photographs;
mod processes;
mod resume;
mod runs;
mod sizes;
mod splits;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use torchmill_testing::{Sandbox, device, program, write_stripes};

const RECIPE: &str = r#"
name = "stripes"
[model]
attribute = "net"
[[model.layer]]
type = "Conv2d"
out_channels = 4
kernel_size = 3
[[model.layer]]
type = "ReLU"
[[model.layer]]
type = "Flatten"
[[model.layer]]
type = "Dropout"
p = 0.1
[[model.layer]]
type = "Linear"
[train]
epochs = 3
batch_size = 8
[train.optimizer]
type = "SGD"
lr = 0.1
momentum = 0.9
"#;

/// A folder with shards of 200 training and 60 test images, and a recipe.
fn sandbox() -> Sandbox {
    let folder = Sandbox::new();
    write_stripes(&folder.path().join("shards"), "train", 200, "d");
    write_stripes(&folder.path().join("shards"), "test", 60, "d");
    std::fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    folder
}

fn command(folder: &Path, run: &str, options: &[&str]) -> Command {
    let mut command = program("train");
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.args([
        "--recipe",
        "recipe.toml",
        "--data",
        "shards",
        "--threads",
        "1",
        "--device",
        &device(),
        "--run",
        run,
    ]);
    command.args(options);
    command
}

fn train(folder: &Path, run: &str, options: &[&str]) -> Output {
    command(folder, run, options).output().unwrap()
}

/// Resumes without a recipe: a resumed run has its own.
fn go_on(folder: &Path, run: &str, options: &[&str]) -> Output {
    go_on_command(folder, run, options).output().unwrap()
}

fn go_on_command(folder: &Path, run: &str, options: &[&str]) -> Command {
    let mut command = program("train");
    command.current_dir(folder);
    command.args(["--threads", "1", "--device", &device(), "--run", run]);
    if !options.contains(&"--resume") {
        command.arg("--resume");
    }
    command.args(options);
    command
}

fn checkpoint(folder: &Path, run: &str, name: &str) -> PathBuf {
    folder.join(run).join("checkpoints").join(name)
}

/// metrics.csv without the time measurements.
fn metrics(folder: &Path, run: &str) -> Vec<(String, u64, f64)> {
    let points = torchmill::metrics::read(&folder.join(run).join("metrics.csv")).unwrap();
    points
        .into_iter()
        .filter(|p| p.tag != "x/images per second")
        .map(|p| (p.tag, p.step, p.value))
        .collect()
}

#[track_caller]
fn assert_same_run(folder: &Path, a: &str, b: &str) {
    let weights =
        |run| std::fs::read(checkpoint(folder, run, "epoch-0003.safetensors")).unwrap();
    assert!(weights(a) == weights(b), "the weights differ");
    assert_eq!(metrics(folder, a), metrics(folder, b));
}

fn target(folder: &Path, run: &str, link: &str) -> String {
    let target = std::fs::read_link(checkpoint(folder, run, link)).unwrap();
    target.to_str().unwrap().to_owned()
}

/// The names in a run's checkpoints folder that begin with `start`.
fn names(folder: &Path, run: &str, start: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join(run).join("checkpoints")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|n| n.starts_with(start)).collect();
    names.sort();
    names
}
