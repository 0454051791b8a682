//! Reads prep's output with the Python code of docs/formats.md, exactly as it is shown
//! there.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use torchmill_testing::{Sandbox, program_folder, write_pets};

use crate::printed;

/// The tests' Python, with prep on its PATH for `pipe:prep ...`.
fn python() -> Option<Command> {
    let mut python = torchmill_testing::python("the Python that reads prep's output")?;
    let path = std::env::var("PATH").unwrap_or_default();
    python.env("PATH", format!("{}:{path}", program_folder().display()));
    Some(python)
}

/// Runs a script in `folder` with `input` on its standard input and returns its output.
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
    let dir = Sandbox::new();
    write_pets(dir.path());
    let snippets = snippets();
    assert_eq!(snippets.len(), 7);
    for (first, script) in snippets {
        let (how, command) =
            first.trim_start_matches("# ").split_once(": prep ").unwrap();
        let arguments: Vec<_> = command.split(' ').collect();
        let input = printed(dir.path(), &arguments);
        assert_eq!(how == "from", !input.is_empty(), "{first}");
        let text = print(python().unwrap(), dir.path(), &script, &input);
        let expected = match arguments.last().copied() {
            Some("tar") => {
                "(2, 4, 3) 0\n(2, 4, 3) 0\n(2, 4, 3) 0\n(2, 4, 3) 1\n(2, 4, 3) 1\n(2, 4, 3) 1\n".repeat(2)
            }
            Some("csv") => "(6, 24) [0 0 0 1 1 1]\n".to_owned(),
            Some("jsonl") => "6 ['cat', 'cat', 'cat', 'dog', 'dog', 'dog']\n".to_owned(),
            Some("shards") => {
                "(6, 2, 4, 3) ['cat', 'cat', 'cat', 'dog', 'dog', 'dog']\ntrain/cat/0.ppm\n".to_owned()
            }
            _ => "(6, 3, 2, 4) [0 0 0 1 1 1]\n".to_owned(),
        };
        assert_eq!(text, expected, "{first}");
    }
}

#[test]
fn images_are_decoded_as_pil_decodes_them() {
    let Some(python) = python() else { return };
    let dir = Sandbox::new();
    let script = include_str!("python/decode.py");
    let text = print(python, dir.path(), script, &[]);
    assert!(text.ends_with("as PIL\n"), "{text}");
}
