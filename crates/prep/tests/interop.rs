//! What prep writes, read by those it is written for: the Python of docs/formats.md is
//! run as it stands there.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::*;

/// The Python that `make test` made. Where `cargo test` runs without it, these tests say
/// so and do nothing.
fn python() -> Option<Command> {
    let python = std::env::var_os("TORCHMILL_PYTHON");
    if python.is_none() {
        eprintln!("TORCHMILL_PYTHON is not set, no Python is run (make test sets it)");
    }
    let mut python = Command::new(python?);
    // For `pipe:prep ...`.
    let folder = Path::new(env!("CARGO_BIN_EXE_prep"))
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    python.env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()));
    Some(python)
}

/// Runs a script in `folder` with this on its standard input and returns what it printed.
#[track_caller]
fn print(mut python: Command, folder: &Path, script: &str, input: &[u8]) -> String {
    python.current_dir(folder).arg("-c").arg(script);
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The blocks of Python in docs/formats.md that read what prep writes, each with the
/// command in its first line.
fn snippets() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks =
        page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks =
        blocks.map(|block| (block.lines().next().unwrap().to_owned(), block.to_owned()));
    blocks.filter(|(first, _)| first.starts_with("# ")).collect()
}

#[test]
fn the_python_of_the_documentation_reads_every_format() {
    if python().is_none() {
        return;
    }
    let dir = tempdir().unwrap();
    pets(dir.path());
    let snippets = snippets();
    assert_eq!(snippets.len(), 7);
    for (first, script) in snippets {
        let (how, command) =
            first.trim_start_matches("# ").split_once(": prep ").unwrap();
        let arguments: Vec<_> = command.split(' ').collect();
        let input = stdout(dir.path(), &arguments);
        assert_eq!(how == "from", !input.is_empty(), "{first}");
        let printed = print(python().unwrap(), dir.path(), &script, &input);
        let expected = match arguments.last().copied() {
            Some("tar") => {
                "(2, 4, 3) 0\n(2, 4, 3) 0\n(2, 4, 3) 0\n(2, 4, 3) 1\n(2, 4, 3) 1\n(2, 4, 3) 1\n".repeat(2)
            }
            Some("csv") => "(6, 24) [0 0 0 1 1 1]\n".to_owned(),
            Some("jsonl") => "6 ['cat', 'cat', 'cat', 'dog', 'dog', 'dog']\n".to_owned(),
            Some("shards") => {
                "(6, 3, 2, 4) ['cat', 'cat', 'cat', 'dog', 'dog', 'dog']\ntrain/cat/0.ppm\n".to_owned()
            }
            _ => "(6, 3, 2, 4) [0 0 0 1 1 1]\n".to_owned(),
        };
        assert_eq!(printed, expected, "{first}");
    }
}

#[test]
fn images_are_decoded_as_pil_decodes_them() {
    let Some(python) = python() else { return };
    let dir = tempdir().unwrap();
    let script = include_str!("interop/decode.py");
    let printed = print(python, dir.path(), script, &[]);
    assert!(printed.ends_with("as PIL\n"), "{printed}");
}
