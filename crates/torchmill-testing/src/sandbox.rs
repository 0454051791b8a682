//! A temporary folder for one test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::programs::{
    LIBTORCH_PROGRAMS, PROGRAMS, codecs, default_signals, libtorch, program,
    program_folder, repository,
};

/// A proxy that does not exist, so that no program reaches a network.
const NO_PROXY: &str = "http://127.0.0.1:9";

const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// Variables that change what the Makefile does.
const MAKE_VARIABLES: [&str; 8] = [
    "MAKEFLAGS",
    "MAKELEVEL",
    "CARGO_TARGET_DIR",
    "RUN",
    "RECIPE",
    "DATASET",
    "EPOCHS",
    "DEVICE",
];

/// A temporary folder for one test, in which the test runs programs, `bash` and `make`.
///
/// It is created in cargo's target folder. It is removed when dropped, but kept if the
/// test fails.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    temporary: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Sandbox::project`] copies from the repository, apart from the Makefile.
const PROJECT: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
    "crates",
    "scripts",
    "tests",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

impl Sandbox {
    /// Creates an empty folder.
    pub fn new() -> Self {
        let parent = target_folder();
        let folder = tempfile::Builder::new().prefix("test-").tempdir_in(parent).unwrap();
        Self { folder: folder.keep(), temporary: true }
    }

    /// Creates an empty folder of this name that stays until the next call, for data that
    /// several tests read.
    pub fn shared(name: &str) -> Self {
        let folder = target_folder().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { folder, temporary: false }
    }

    /// Creates a folder with this project as after `make build`: the Makefile, and links
    /// to the sources, libtorch, the codecs and the built programs. make considers the
    /// programs up to date and compiles nothing.
    pub fn project() -> Self {
        let sandbox = Self::new();
        for name in PROJECT {
            symlink(repository().join(name), sandbox.join(name)).unwrap();
        }
        fs::copy(repository().join("Makefile"), sandbox.join("Makefile")).unwrap();
        symlink(libtorch(), sandbox.join(".libtorch")).unwrap();
        symlink(codecs(), sandbox.join(".codecs")).unwrap();
        let release = sandbox.join("target/release");
        fs::create_dir_all(&release).unwrap();
        for name in PROGRAMS.into_iter().chain(LIBTORCH_PROGRAMS) {
            symlink(program_folder().join(name), release.join(name)).unwrap();
        }
        for stamp in [".data-programs", ".torch-programs"] {
            fs::write(release.join(stamp), "").unwrap();
        }
        sandbox
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A path in the folder.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// Writes a file, creates its parent folders, and returns its path.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(path);
        let folder = path.parent().expect("a file in the sandbox has a parent");
        fs::create_dir_all(folder).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// A built program to run in the folder, with an empty standard input.
    pub fn program(&self, name: &str) -> Command {
        let mut command = program(name);
        command.current_dir(&self.folder);
        command
    }

    /// Runs a program in the folder.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.program(name).args(arguments).output().unwrap()
    }

    /// A bash script to run in the folder. The programs and the tests' Python are on its
    /// PATH, the folder is its home, and it has no network.
    pub fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        default_signals(&mut command);
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env("HOME", &self.folder)
            .env("OMP_NUM_THREADS", "1")
            .env("CUDA_VISIBLE_DEVICES", "");
        without_network(&mut command);
        for name in MAKE_VARIABLES {
            command.env_remove(name);
        }
        let mut path = vec![program_folder()];
        if let Some(python) = std::env::var_os("TORCHMILL_PYTHON") {
            path.extend(Path::new(&python).parent().map(Path::to_path_buf));
        }
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        path.extend(std::env::split_paths(&inherited));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command
    }

    /// Runs a bash script that must succeed. Returns its output, including standard
    /// error. In a failure's message, `place` says where the script comes from.
    #[track_caller]
    pub fn run_bash(&self, place: &str, script: &str) -> String {
        let output = self.bash(&format!("{{ {script}\n}} 2>&1")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{place}: {}\n{script}\n{said}", output.status);
        said
    }

    /// `make` with these arguments, to run in the folder with a clean environment and no
    /// network.
    pub fn make(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("make");
        default_signals(&mut command);
        command
            .current_dir(&self.folder)
            .args(arguments)
            .env_clear()
            .env("OMP_NUM_THREADS", "1");
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "CARGO_HOME", "RUSTUP_HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        without_network(&mut command);
        command
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the test's files are in {}", self.folder.display());
            return;
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder for tests' files, in cargo's target folder.
pub(crate) fn target_folder() -> PathBuf {
    let profile = program_folder();
    let target = profile.parent().expect("cargo puts programs in target/PROFILE");
    let folder = target.join("tmp");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn without_network(command: &mut Command) {
    for name in PROXY_VARIABLES {
        command.env(name, NO_PROXY);
    }
}
