//! Runs every command and all Python code in README.md and docs/. Each page has its own
//! sandbox, in which its blocks are run in order. A hidden comment above a block says
//! what the block needs, or why it is not run:
//!
//! - `<!-- given: cifar10 -->`: these are set up first (see [`Given::put`]);
//! - `<!-- file: NAME -->`: the block is a file that other blocks use;
//! - `<!-- not run: REASON -->`: with one of [`REASONS`]. The options, make targets and
//!   variables in it must still exist, and its Python must compile.
//!
//! `sh` blocks are run unchanged. In `console` blocks the lines after `$ ` are run, and
//! their output must have the lines that the page shows, in order. Numbers may differ,
//! and `...` stands for any lines. A `python` block whose first line is `# from: COMMAND`
//! gets the command's output on standard input; one with `# with: COMMAND` is run after
//! the command.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use torchmill_testing::{PROGRAMS, Sandbox, ok, program, python, repository};

use crate::given::Given;

/// Why a block may not be run: it needs a network, a GPU, minutes, PyTorch or pandas in
/// Python (which the tests' environment does not have), or data that the tests do not
/// have, or it is a server that runs until Ctrl-C.
const REASONS: [&str; 7] =
    ["network", "GPU", "minutes", "PyTorch", "pandas", "data", "server"];

struct Block {
    /// `README.md:12`.
    place: String,
    language: String,
    text: String,
    marker: Option<(String, String)>,
}

/// The fenced blocks of a page in the languages that are run.
fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut marker) = (None, None);
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(language)) => {
                let place = format!("{name}:{}", number + 1);
                let indent = line.len() - line.trim_start().len();
                let block = Block {
                    place,
                    language: language.to_owned(),
                    text: String::new(),
                    marker: marker.take(),
                };
                open = Some((block, indent));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.text += &format!("{}\n", line.get(*indent..).unwrap_or_default());
            }
            (None, None) if !trimmed.is_empty() => {
                let comment = trimmed
                    .strip_prefix("<!--")
                    .and_then(|rest| rest.strip_suffix("-->"));
                let marked = comment.and_then(|comment| comment.split_once(':'));
                marker = marked
                    .map(|(kind, rest)| (kind.trim().to_owned(), rest.trim().to_owned()));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    let runs = |language: &str| {
        ["sh", "bash", "shell", "console", "python", "py"].contains(&language)
    };
    blocks.retain(|block| runs(&block.language) || block.marked("file").is_some());
    blocks
}

impl Block {
    fn marked(&self, kind: &str) -> Option<&str> {
        self.marker.as_ref().filter(|(k, _)| k == kind).map(|(_, rest)| rest.as_str())
    }

    fn is_python(&self) -> bool {
        self.language.starts_with("py")
    }

    /// The commands to run: the block itself, or a console's lines after `$`, with their
    /// continuation lines after `\`.
    fn commands(&self) -> Vec<(String, Vec<String>)> {
        if self.language != "console" {
            return vec![(self.text.clone(), Vec::new())];
        }
        let mut commands: Vec<(String, Vec<String>)> = Vec::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((command, _))) if command.ends_with('\\') => {
                    *command += &format!("\n{line}");
                }
                (None, Some((_, output))) => output.push(line.to_owned()),
                (None, None) => {
                    panic!("{}: a console block begins with `$ `", self.place)
                }
            }
        }
        commands
    }
}

fn run_page(page: &Path) {
    let blocks = blocks(page);
    if blocks.is_empty() {
        return;
    }
    let sandbox = Sandbox::project();
    let mut given = Given::default();
    for block in &blocks {
        if let Some(name) = block.marked("file") {
            sandbox.write(name, &block.text);
        }
    }
    for block in &blocks {
        check_words(block);
        let place = &block.place;
        if let Some((kind, rest)) = &block.marker {
            match kind.as_str() {
                "file" => continue,
                "given" => {
                    for what in rest.split(',') {
                        given.put(&sandbox, place, what.trim());
                    }
                }
                "not run" => {
                    assert!(
                        REASONS.contains(&rest.as_str()),
                        "{place}: not run: one of {REASONS:?}, not {rest}"
                    );
                    continue;
                }
                _ => {}
            }
        }
        let needs_python = block.is_python() || block.text.contains("python");
        if needs_python && python(place).is_none() {
            continue;
        }
        if block.is_python() {
            sandbox.write("block.py", &block.text);
            let first = block.text.lines().next().unwrap_or_default();
            let script =
                match (first.strip_prefix("# from: "), first.strip_prefix("# with: ")) {
                    (Some(command), _) => format!("{command} | python block.py"),
                    (_, Some(command)) => format!("{command} && python block.py"),
                    _ => "python block.py".to_owned(),
                };
            sandbox.run_bash(place, &script);
        } else {
            for (command, expected) in block.commands() {
                let said = sandbox.run_bash(place, &command);
                compare(place, &command, &expected, &said);
            }
        }
    }
}

/// Checks that the printed lines contain those of the page, in order. Numbers may differ.
fn compare(place: &str, command: &str, expected: &[String], said: &str) {
    let mut printed = said.split(['\n', '\r']).map(masked);
    for line in expected.iter().filter(|line| !["", "..."].contains(&line.trim())) {
        assert!(
            printed.any(|printed| printed == masked(line)),
            "{place}: `{command}` does not print the line (or not there)\n    {line}\nIt printed\n{said}"
        );
    }
}

/// A line with `#` for each number, and a single space for several.
fn masked(line: &str) -> String {
    let mut masked = String::new();
    let mut in_number = false;
    for c in line.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        let digit = c.is_ascii_digit() || in_number && ".,".contains(c);
        if !digit {
            masked.push(c);
        } else if !in_number {
            masked.push('#');
        }
        in_number = digit;
    }
    masked
}

/// Checks that the options of our programs, make targets and variables in a block exist,
/// even if the block is not run.
fn check_words(block: &Block) {
    if block.is_python() {
        return check_python(block);
    }
    if block.marked("file").is_some() {
        return;
    }
    for (commands, _) in block.commands() {
        let commands = commands.replace("\\\n", " ");
        for line in
            commands.lines().map(|line| line.split(" #").next().unwrap_or_default())
        {
            let line = line.replace([';', '|', '&', '(', ')', '`', '\''], " ; ");
            for command in line.split(" ; ") {
                let mut words = command
                    .split_whitespace()
                    .skip_while(|w| *w == "do" || w.contains('='));
                match words.next() {
                    Some("make") => words.for_each(|word| check_make(&block.place, word)),
                    Some(name) if PROGRAMS.contains(&name) => {
                        for option in words.filter_map(|word| word.strip_prefix("--")) {
                            let option = option.split('=').next().unwrap_or_default();
                            let known =
                                option.is_empty() || options(name).contains(option);
                            assert!(
                                known,
                                "{}: {name} has no option --{option}",
                                block.place
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn options(name: &str) -> HashSet<String> {
    thread_local!(static KNOWN: std::cell::RefCell<HashMap<String, HashSet<String>>> = Default::default());
    KNOWN.with_borrow_mut(|known| {
        let find = || {
            // Completions have aliases and hidden options too.
            let script = ok(program(name).args(["--completions", "bash"])).stdout;
            let words = script.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            words.filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect()
        };
        known.entry(name.to_owned()).or_insert_with(find).clone()
    })
}

fn check_make(place: &str, word: &str) {
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    let (known, kind) = match word.split_once('=') {
        Some((variable, _)) => {
            (makefile.contains(&format!("\n{variable} ?=")), "variable")
        }
        None if word.starts_with('-') => (true, "option"),
        None => {
            let mut targets =
                makefile.lines().filter_map(|line| line.strip_prefix(".PHONY:"));
            (
                targets.any(|line| line.split_whitespace().any(|target| target == word)),
                "target",
            )
        }
    };
    assert!(known, "{place}: make has no {kind} {word}");
}

fn check_python(block: &Block) {
    let Some(mut python) = python(&block.place) else { return };
    let script = "import sys; compile(open(sys.argv[1]).read(), sys.argv[2], 'exec')";
    let sandbox = Sandbox::new();
    let path = sandbox.write("block.py", &block.text);
    ok(python.args(["-c", script]).arg(path).arg(&block.place));
}

/// The pages to run. The tutorials in both languages have the same commands, so only one
/// is run.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.push(repository().join("README.md"));
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    pages.sort();
    pages
}

#[test]
fn every_command_in_the_documents_works() {
    let pages: Vec<PathBuf> =
        pages().into_iter().filter(|page| !page.ends_with("tutorial.zh.md")).collect();
    // Two pages at a time. If one fails, the others are still run.
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                if catch_unwind(|| run_page(page)).is_err() {
                    failed.lock().unwrap().push(page);
                }
            }
        };
        scope.spawn(work);
        work();
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "what failed is above, in {failed:?}");
}

/// Each program's own pages.
const PAGES: [(&str, &[&str]); 5] = [
    ("fetch-data", &["datasets.md"]),
    ("prep", &["datasets.md", "formats.md", "transforms.md"]),
    ("train", &["training.md", "models.md", "recipes.md", "distributed.md"]),
    ("evaluate", &["evaluate.md"]),
    ("scalars", &["scalars.md"]),
];

#[test]
fn every_option_is_in_a_document_of_its_program() {
    let mut missing = Vec::new();
    for name in PROGRAMS {
        let of_this = |page: &&PathBuf| {
            let page = page.file_name().unwrap().to_str().unwrap();
            page == "README.md"
                || PAGES.iter().any(|(of, pages)| *of == name && pages.contains(&page))
        };
        let text: String = pages()
            .iter()
            .filter(of_this)
            .map(|page| fs::read_to_string(page).unwrap())
            .collect();
        let words: HashSet<&str> =
            text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
        let mut options: Vec<String> =
            options(name).into_iter().map(|option| format!("--{option}")).collect();
        options.sort();
        options.retain(|option| !words.contains(option.as_str()));
        missing.extend(options.iter().map(|option| format!("{name} {option}")));
    }
    assert!(missing.is_empty(), "in none of the program's pages: {missing:?}");
}

#[test]
fn most_of_them_are_run() {
    let all: Vec<Block> = pages().iter().flat_map(|page| blocks(page)).collect();
    let left_out = all.iter().filter(|block| block.marked("not run").is_some()).count();
    assert!(
        all.len() > 20 && left_out * 2 < all.len(),
        "{left_out} of {} are not run",
        all.len()
    );
}

/// The number of cells in a row of a table; `None` if the line is not a row.
fn cells(line: &str) -> Option<usize> {
    line.strip_prefix('|').map(|row| row.replace("\\|", "").matches('|').count())
}

#[test]
fn the_rows_of_a_table_have_the_same_number_of_cells() {
    let mut tables = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut is_code = false;
        let mut expected = None;
        for (number, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            let found = if is_code { None } else { cells(line) };
            if found.is_some() && expected.is_some() {
                assert_eq!(found, expected, "{}:{}", page.display(), number + 1);
            } else if found.is_some() {
                tables += 1;
            }
            expected = found;
        }
    }
    assert!(tables > 20, "{tables}");
}

#[test]
fn the_translation_has_the_same_blocks() {
    let page = |name: &str| -> Vec<String> {
        let blocks = blocks(&repository().join("docs").join(name));
        // Comments are translated.
        let plain = |block: Block| {
            block
                .text
                .lines()
                .map(|l| l.split('#').next().unwrap().trim().to_owned() + "\n")
                .collect()
        };
        blocks.into_iter().map(plain).collect()
    };
    let (english, chinese) = (page("tutorial.md"), page("tutorial.zh.md"));
    assert!(!english.is_empty());
    for (i, (a, b)) in english.iter().zip(&chinese).enumerate() {
        assert_eq!(a, b, "block {}", i + 1);
    }
    assert_eq!(english.len(), chinese.len());
    // The levels of the headings must match too.
    let headings = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(repository().join("docs").join(name)).unwrap();
        let sign = |line: &str| {
            line.split(' ').next().filter(|sign| sign.starts_with('#')).map(str::to_owned)
        };
        let mut fenced = false;
        let outside = text.lines().filter(|line| {
            fenced ^= line.starts_with("```");
            !fenced
        });
        outside.filter_map(sign).collect()
    };
    assert_eq!(headings("tutorial.md"), headings("tutorial.zh.md"));
}
