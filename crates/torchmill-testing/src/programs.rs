//! Finds the built programs and runs them in the same way however the tests were started.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The five programs.
pub const PROGRAMS: [&str; 5] = ["fetch-data", "prep", "train", "evaluate", "scalars"];

/// The programs that are linked to libtorch and do the work of `train` and `evaluate`.
pub const LIBTORCH_PROGRAMS: [&str; 2] = ["train-torch", "evaluate-torch"];

/// The root of the repository.
pub fn repository() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate is in crates/")
}

/// The folder in which cargo puts the programs: the parent of the running test's folder.
pub fn program_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().expect("a program is in a folder");
    deps.parent().expect("cargo puts tests in target/PROFILE/deps").to_path_buf()
}

/// The libtorch that the programs are built with.
pub fn libtorch() -> PathBuf {
    match std::env::var_os("LIBTORCH") {
        Some(folder) => PathBuf::from(folder),
        None => repository().join(".libtorch"),
    }
}

/// The image codecs that the programs load.
pub fn codecs() -> PathBuf {
    match std::env::var_os("TORCHMILL_CODECS") {
        Some(folder) => PathBuf::from(folder),
        None => repository().join(".codecs"),
    }
}

/// What runs the built programs, if they are for another processor: the words in
/// `TORCHMILL_TEST_RUNNER`, such as `qemu-aarch64 -L /usr/aarch64-linux-gnu`.
pub(crate) fn runner() -> Vec<OsString> {
    let words = std::env::var("TORCHMILL_TEST_RUNNER").unwrap_or_default();
    words.split_whitespace().map(OsString::from).collect()
}

/// A built program, without arguments and with an empty standard input.
pub fn program(name: &str) -> Command {
    let path = program_folder().join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace` first (make test does)",
        path.display()
    );
    let mut words = runner();
    words.push(path.into_os_string());
    let mut command = Command::new(words.remove(0));
    command.args(words);
    default_signals(&mut command);
    // Many tests run at once, and OpenMP's threads busy-wait. With more than one thread
    // each, they would compete for the cores.
    command.stdin(Stdio::null()).env("OMP_NUM_THREADS", "1");
    command
}

/// The `--device` for the tests of train and evaluate: `TORCHMILL_TEST_DEVICE`, or else
/// the CPU.
pub fn device() -> String {
    std::env::var("TORCHMILL_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned())
}

/// Resets the signals that tests send to their default action. A shell script's
/// background jobs, such as `make test &`, ignore SIGINT, and programs inherit that.
pub fn default_signals(command: &mut Command) {
    let reset = || {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            // SAFETY: SIG_DFL is a valid action for each of these signals.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure calls only signal(), which is
    // async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(reset) };
}

/// The Python in `TORCHMILL_PYTHON`, which `make test` sets. Without it, prints that
/// `what` is not run and returns `None`.
pub fn python(what: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("TORCHMILL_PYTHON") else {
        eprintln!("TORCHMILL_PYTHON is not set: {what} is not run (make test sets it)");
        return None;
    };
    let mut command = Command::new(python);
    default_signals(&mut command);
    Some(command)
}
