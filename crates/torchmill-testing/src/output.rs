//! A program's output, and assertions on it.

use std::iter;
use std::path::Path;
use std::process::{Command, Output};

use crate::programs::runner;

/// A program's output as text.
#[derive(Debug)]
pub struct Said {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The output of a finished program as text. Panics if it is not UTF-8.
pub fn said(output: &Output) -> Said {
    Said { stdout: stdout(output), stderr: stderr(output) }
}

/// What a program wrote to standard error.
pub fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

/// What a program wrote to standard output.
pub fn stdout(output: &Output) -> String {
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("programs write UTF-8")
}

/// Runs a command that must succeed.
#[track_caller]
pub fn ok(command: &mut Command) -> Said {
    let output = run(command);
    let said = said(&output);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said.stderr);
    said
}

/// Runs a command that must fail with this exit status. Returns the error message, which
/// is the last line on standard error. If clap rejects the command line, returns all of
/// standard error.
#[track_caller]
pub fn fails(command: &mut Command, status: i32) -> String {
    let output = run(command);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{command:?}\n{stderr}");
    if status == 2 && stderr.contains("Usage:") {
        return stderr;
    }
    let prefix = format!("{}: ", program_name(command));
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&prefix),
        "{command:?} does not end with an error message:\n{stderr}"
    );
    last.to_owned()
}

/// Runs a command that must fail with exit status 1 or 2. Returns the message as
/// [`fails`] does.
#[track_caller]
pub fn refuses(command: &mut Command) -> String {
    match run(command).status.code() {
        Some(status @ (1 | 2)) => fails(command, status),
        other => panic!("{command:?}: exit status {other:?}"),
    }
}

/// The name of the program that a command runs, directly or with [`runner`].
fn program_name(command: &Command) -> String {
    let runner = runner();
    let with_runner = runner.first().is_some_and(|name| name == command.get_program());
    let mut words = iter::once(command.get_program()).chain(command.get_args());
    let program = words.nth(if with_runner { runner.len() } else { 0 }).unwrap();
    Path::new(program).file_name().unwrap().to_string_lossy().into_owned()
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Checks that a program succeeded.
#[track_caller]
pub fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// Checks that a program failed with this exit status and a last line that contains
/// `text`, without a panic and with nothing on standard output.
#[track_caller]
pub fn assert_fails(output: &Output, status: i32, text: &str) {
    let message = stderr(output);
    let line = message.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(status), "{message}");
    assert!(line.contains(text), "{message}");
    assert!(!message.contains("panicked") && output.stdout.is_empty(), "{message}");
}
