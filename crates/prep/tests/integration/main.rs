//! `prep` as a user runs it, on small generated data sets.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

mod choices;
mod damage;
mod duplicates;
mod errors;
mod formats;
mod interop;
mod orientation;
mod outputs;
mod preview;
mod reruns;
mod shards;
mod show;
mod sizes;
mod sources;
mod statistics;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use torchmill::shard::ShardSet;
use torchmill_testing::{assert_done, names, program, stderr};

/// prep with these arguments and an empty standard input.
fn command(arguments: &[&str]) -> Command {
    let mut command = program("prep");
    command.args(arguments);
    command
}

/// Runs prep in `folder`.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(arguments).current_dir(folder).output().unwrap()
}

/// Runs prep, which must succeed; returns what it wrote to standard error.
#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_done(&output);
    stderr(&output)
}

/// Runs prep with `input` on its standard input. It must succeed; returns what it wrote
/// to standard output.
#[track_caller]
fn pipe(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = command(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_done(&output);
    output.stdout
}

/// Runs prep, which must succeed; returns what it wrote to standard output.
#[track_caller]
fn printed(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = run(folder, arguments);
    assert_done(&output);
    output.stdout
}

/// Runs prep, which must fail with this exit status and a last line that contains `text`,
/// and leave nothing in `folder/out`.
#[track_caller]
fn fail(folder: &Path, arguments: &[&str], status: i32, text: &str) {
    let output = run(folder, arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("prep: ") && last.contains(text), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    assert_eq!(names(folder.join("out")), Vec::<String>::new());
}

/// The shards of a split in `folder/out`, their checksums checked.
#[track_caller]
fn shards(folder: &Path, split: &str) -> ShardSet {
    let set = ShardSet::open(&folder.join("out"), split).unwrap();
    set.verify().unwrap();
    set
}
