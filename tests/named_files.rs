//! Documents, comments and scripts name only files and test programs that exist.

use std::fs;
use std::path::Path;

use torchmill_testing::repository;

const FOLDERS: [&str; 7] =
    ["crates", "tests", "fuzz", "bench", "parity", "scripts", "docs"];
/// What the name of a file in this repository begins with. Other names may be files of
/// PyTorch, or what a reader calls their own.
const BEGINNINGS: [&str; 8] = [
    "crates/",
    "tests/",
    "fuzz/",
    "bench/",
    "parity/",
    "scripts/",
    "golden/",
    "integration/",
];

/// Adds the files below `folder`, relative to the repository, with `/` before the path.
fn add_files(folder: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(repository().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        let is_made = name.starts_with('.') || ["target", "corpus"].contains(&&*name);
        if entry.file_type().unwrap().is_dir() && !is_made {
            add_files(&path, files);
        } else if entry.file_type().unwrap().is_file() {
            files.push(format!("/{path}"));
        }
    }
}

fn files() -> Vec<String> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        add_files(folder, &mut files);
    }
    for name in ["Makefile", "README.md", "CONTRIBUTING.md"] {
        files.push(format!("/{name}"));
    }
    files
}

/// The words of a text that may be paths or options.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.split(move |c| !is_part(c)).filter(|word| !word.is_empty())
}

/// Whether a word names a source file. Capitals stand for any name: `tests/NAME.rs`.
fn is_source(word: &str) -> bool {
    let is_path = BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
    let is_source = word.ends_with(".rs") || word.ends_with(".py");
    is_path && is_source && !word.contains(|c: char| c.is_ascii_uppercase())
}

#[test]
fn every_source_file_that_is_named_exists() {
    let files = files();
    let exists =
        |name: &str| files.iter().any(|file| file.ends_with(&format!("/{name}")));
    let mut named = 0;
    for file in &files {
        let extension = Path::new(file).extension().and_then(|e| e.to_str());
        if extension.is_some_and(|e| !["rs", "py", "md"].contains(&e)) {
            continue;
        }
        let Ok(text) = fs::read_to_string(repository().join(&file[1..])) else {
            continue;
        };
        let mut before = "";
        for word in words(&text) {
            if is_source(word) {
                named += 1;
                assert!(exists(word), "{file}: there is no {word}");
            }
            // A test program is a file or a folder in a crate's tests/, or that of tests/.
            let is_name = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let is_program = before.strip_prefix("--") == Some("test");
            if is_program && is_name && word != "programs" {
                let as_file = exists(&format!("tests/{word}.rs"));
                let as_folder = exists(&format!("tests/{word}/main.rs"));
                assert!(as_file || as_folder, "{file}: there is no test program {word}");
            }
            before = word;
        }
    }
    assert!(named > 20, "{named}");
}
