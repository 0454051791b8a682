//! Finding the built programs, running them, and the data that most tests start from.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// All five.
pub const PROGRAMS: [&str; 5] = ["fetch-data", "prep", "train", "evaluate", "scalars"];

/// The halves of two of them that are linked with libtorch.
pub const TORCH_HALVES: [&str; 2] = ["train-torch", "evaluate-torch"];

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where cargo put the programs: above the folder that this test's own program is in.
pub fn program_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_path_buf()
}

/// A built program, to be given arguments.
pub fn program(name: &str) -> Command {
    let path = program_folder().join(name);
    assert!(
        path.exists(),
        "{} is not built: these tests run all the programs, so `cargo build --workspace` comes first (make test does both)",
        path.display()
    );
    let mut command = Command::new(path);
    // Many of these run at once: OpenMP's threads, which wait by spinning, would fight
    // over the processors.
    command.stdin(Stdio::null()).env("OMP_NUM_THREADS", "1");
    command
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command that must succeed.
#[track_caller]
pub fn ok(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        text(&output.stderr)
    );
    said(&output)
}

/// Runs a command that must fail with this exit status and one line on standard error,
/// and returns the line. A note that the program gave before it found the trouble is no
/// part of it.
#[track_caller]
pub fn fails(command: &mut Command, status: i32) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{command:?}\n{stderr}");
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&format!("{name}: "))
            || status == 2 && stderr.contains("Usage:"),
        "{command:?} does not end with a line of its own:\n{stderr}"
    );
    if status == 2 && stderr.contains("Usage:") { stderr } else { last.to_owned() }
}

/// Runs a command that must refuse what it is given, as a failure or as wrong usage, and
/// returns the line.
#[track_caller]
pub fn refuses(command: &mut Command) -> String {
    let status = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}")).status;
    assert!(matches!(status.code(), Some(1 | 2)), "{command:?}: {status}");
    fails(command, status.code().unwrap())
}

/// What a finished process wrote.
pub fn said(output: &Output) -> Said {
    Said { stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("programs write UTF-8")
}

/// The Python that `make test` made (TORCHMILL_PYTHON). Where `cargo test` runs without
/// it, these tests say so and do nothing.
pub fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("TORCHMILL_PYTHON") else {
        eprintln!("TORCHMILL_PYTHON is not set, {script} is not run (make test sets it)");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python").join(script));
    Some(command)
}

/// The folder of this name among cargo's for tests, made empty.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The names in a folder, sorted.
pub fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.as_ref())
        .unwrap_or_else(|e| panic!("{}: {e}", folder.as_ref().display()))
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A job that most tests start from: mnist-5k as it was fetched, its shards, and a run of
/// two epochs.
pub struct Job {
    pub raw: PathBuf,
    pub shards: PathBuf,
    pub run: PathBuf,
    /// What `train` said.
    pub train: Said,
}

impl Job {
    /// The checkpoint after the second epoch.
    pub fn checkpoint(&self) -> PathBuf {
        self.run.join("checkpoints/epoch-0002.safetensors")
    }
}

/// Runs the job once; every test then reads it.
pub fn job() -> &'static Job {
    static JOB: OnceLock<Job> = OnceLock::new();
    JOB.get_or_init(|| {
        let folder = scratch("job");
        let (raw, shards, run) =
            (folder.join("raw/mnist-5k"), folder.join("shards"), folder.join("run"));
        let fetch = ok(program("fetch-data")
            .arg("mnist-5k")
            .arg("--root")
            .arg(folder.join("raw")));
        assert_eq!(Path::new(fetch.stdout.trim()), raw);
        ok(program("prep")
            .arg(&raw)
            .arg("-o")
            .arg(&shards)
            .args(["--recipe", "article"]));
        let train = ok(train(&shards, &run).args(["--epochs", "2"]));
        Job { raw, shards, run, train }
    })
}

/// The article's training on some shards. Its learning rate is for long runs; this one is
/// for short ones. One thread, so that the bytes do not depend on the machine's number of
/// cores.
pub fn train(shards: impl AsRef<OsStr>, run: impl AsRef<OsStr>) -> Command {
    let mut command = program("train");
    command.args([
        "--recipe",
        "article",
        "--lr",
        "0.05",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--data",
    ]);
    command.arg(shards).arg("--run").arg(run);
    command
}

/// Copies a folder of files.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// Turns over the bits of one byte of a file, counted from its end.
pub fn flip_byte(path: &Path, from_end: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}
