//! Two GPUs for tests on machines without one: a stand-in for libtorch's CUDA library.
//!
//! Its C++ code is in `cuda_stand_in/`. `stand_in.cpp` describes what it does and what it
//! cannot show. The first test that needs it compiles it, because libtorch's headers may
//! be missing when other crates' tests are compiled.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::programs::libtorch;
use crate::sandbox::target_folder;

/// The file name that programs look for.
const LIBRARY: &str = "libtorch_cuda.so";

/// Declares the source files: their names in a folder, and the files here.
macro_rules! sources {
    ($($name:literal: $file:expr),* $(,)?) => {
        /// The source files. The last one includes the others and is compiled.
        const SOURCES: &[(&str, &str)] = &[$(($name, include_str!($file))),*];
    };
}

/// A header that stands in for one of Gloo's.
macro_rules! gloo {
    ($name:literal) => {
        concat!("../../torchmill-nn/src/distributed/gloo-stand-in/", $name)
    };
}

sources! {
    "gloo/algorithm.h": gloo!("gloo/algorithm.h"),
    "gloo/common/error.h": gloo!("gloo/common/error.h"),
    "gloo/context.h": gloo!("gloo/context.h"),
    "gloo/rendezvous/store.h": gloo!("gloo/rendezvous/store.h"),
    "gloo/transport/device.h": gloo!("gloo/transport/device.h"),
    "log.h": "cuda_stand_in/log.h",
    "memory.h": "cuda_stand_in/memory.h",
    "devices.h": "cuda_stand_in/devices.h",
    "gloo.h": "cuda_stand_in/gloo.h",
    "stand_in.cpp": "cuda_stand_in/stand_in.cpp",
}

/// The environment variable with the loader's library folders.
const LOADER_PATH: &str = "LD_LIBRARY_PATH";

/// A libtorch with the stand-in: a folder with links to the CPU libraries, and the
/// stand-in.
#[derive(Debug, Clone)]
pub struct CudaStandIn {
    folder: PathBuf,
}

impl CudaStandIn {
    /// The stand-in, compiled if necessary. If the tests' libtorch has CUDA itself,
    /// prints that `what` is not run and returns `None`, because the two exclude each
    /// other.
    pub fn get(what: &str) -> Option<Self> {
        if libtorch().join("lib").join(LIBRARY).exists() {
            eprintln!("this libtorch has CUDA: {what} is not run on the stand-in");
            return None;
        }
        let folder = target_folder().join(format!("cuda-stand-in-{:016x}", key()));
        // Several processes may run tests that need it at once.
        let lock = File::create(target_folder().join("cuda-stand-in.lock")).unwrap();
        lock.lock().unwrap();
        if !folder.exists() {
            compile(&folder);
        }
        Some(Self { folder })
    }

    /// The folder with the libraries.
    pub fn libraries(&self) -> &Path {
        &self.folder
    }

    /// Makes a program find the stand-in, and with it two GPUs.
    pub fn provide<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let inherited = std::env::var_os(LOADER_PATH).unwrap_or_default();
        let mut folders = vec![self.folder.clone()];
        folders.extend(std::env::split_paths(&inherited));
        command.env(LOADER_PATH, std::env::join_paths(folders).unwrap())
    }

    /// Runs the tests in the running test program whose names contain one of `names`,
    /// with `--device cuda:1`.
    #[track_caller]
    pub fn run_tests(&self, names: &[&str]) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(names).env("TORCHMILL_TEST_DEVICE", "cuda:1");
        let output = self.provide(&mut command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "with --device cuda:1: {said}");
    }
}

/// A hash of everything that the compiled library depends on.
fn key() -> u64 {
    let mut hasher = DefaultHasher::new();
    SOURCES.hash(&mut hasher);
    let library = fs::canonicalize(libtorch().join("lib/libtorch_cpu.so")).unwrap();
    fs::metadata(&library).unwrap().modified().unwrap().hash(&mut hasher);
    library.hash(&mut hasher);
    hasher.finish()
}

/// Compiles the library in a temporary folder and renames that folder, so that an
/// existing folder is always complete.
fn compile(folder: &Path) {
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).unwrap();
    let libtorch = fs::canonicalize(libtorch()).unwrap();
    for entry in fs::read_dir(libtorch.join("lib")).unwrap() {
        let library = entry.unwrap();
        symlink(library.path(), partial.join(library.file_name())).unwrap();
    }
    for (name, text) in SOURCES {
        let file = partial.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let output = compiler(&libtorch, &partial).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cannot compile the CUDA stand-in: {said}");
    fs::rename(partial, folder).unwrap();
}

/// The command that compiles the sources in a folder.
fn compiler(libtorch: &Path, folder: &Path) -> Command {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let include = libtorch.join("include");
    let mut command = Command::new(compiler);
    command
        .current_dir(folder)
        .args(["-std=c++17", "-O1", "-fPIC", "-shared", "stand_in.cpp", "-o", LIBRARY])
        .args(["-I", "."])
        .arg("-isystem")
        .arg(include.join("torch/csrc/api/include"))
        .arg("-isystem")
        .arg(include)
        .arg(format!("-L{}", folder.display()))
        .args(["-ltorch_cpu", "-lc10"]);
    command
}

/// An event that the stand-in logged, such as `wait 12 train-torch: 4 bytes from cuda:1
/// to cpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `kernel`, `allocate`, `seed`, `copy` or `wait`.
    pub kind: String,
    /// The system's thread ID.
    pub thread: u32,
    /// The thread's name.
    pub thread_name: String,
    /// What happened.
    pub details: String,
}

/// The events of programs that ran with `CUDA_STAND_IN_LOG` set to this file.
pub fn read_events(log: &Path) -> Vec<Event> {
    let text = fs::read_to_string(log).unwrap();
    text.lines().map(parse_event).collect()
}

fn parse_event(line: &str) -> Event {
    let (start, details) = line.split_once(": ").expect("`EVENT THREAD NAME: DETAILS`");
    let mut words = start.splitn(3, ' ');
    let mut next = || words.next().expect("three words").to_owned();
    let kind = next();
    let thread = next().parse().unwrap();
    Event { kind, thread, thread_name: next(), details: details.to_owned() }
}

/// Runs a program on the stand-in. Returns its output and the events.
#[track_caller]
pub fn run_with_events(command: &mut Command, log: &Path) -> (Output, Vec<Event>) {
    let _ = fs::remove_file(log);
    let output = command.env("CUDA_STAND_IN_LOG", log).output().unwrap();
    (output, read_events(log))
}

/// The number of waits for the device among these events.
pub fn count_waits(events: &[Event]) -> usize {
    events.iter().filter(|event| event.kind == "wait").count()
}

/// The numbers of at most `count` allocations in these events, counted from 1. They are
/// evenly spaced over those that are the first from their callers in the program, because
/// most of a run's allocations are those of a few operators.
pub fn sample_allocations(events: &[Event], count: usize) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut firsts = Vec::new();
    let allocations = events.iter().filter(|event| event.kind == "allocate");
    for (number, event) in (1..).zip(allocations) {
        let (_, callers) = event.details.split_once(" from").expect("the callers");
        if seen.insert(callers) {
            firsts.push(number);
        }
    }
    let count = count.min(firsts.len());
    (0..count).map(|i| firsts[i * firsts.len() / count]).collect()
}
