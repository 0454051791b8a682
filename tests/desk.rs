//! A folder where commands of the documents and of the programs' help are run as a reader
//! would, and what they start from.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::makefile::Project;
use crate::programs::{copy_folder, job, ok, program, program_folder};

/// A folder to work in: the project as it is when everything is built, and a home of its
/// own.
pub struct Desk {
    project: Project,
    given: HashSet<String>,
}

impl Desk {
    /// A folder of this name.
    pub fn new(name: &str) -> Self {
        Self { project: Project::new(name), given: HashSet::new() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.project.0
    }

    /// Bash, with the programs and the tests' Python on its PATH, and no network.
    pub fn bash(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.folder())
            .stdin(Stdio::null());
        command
            .env("HOME", self.folder())
            .env("OMP_NUM_THREADS", "1")
            .env("CUDA_VISIBLE_DEVICES", "");
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            command.env(name, "http://127.0.0.1:9");
        }
        for name in [
            "MAKEFLAGS",
            "MAKELEVEL",
            "CARGO_TARGET_DIR",
            "RUN",
            "RECIPE",
            "DATASET",
            "EPOCHS",
            "DEVICE",
        ] {
            command.env_remove(name);
        }
        let python = python().and_then(|python| Some(python.parent()?.to_path_buf()));
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = [Some(program_folder()), python]
            .into_iter()
            .flatten()
            .chain(std::env::split_paths(&paths));
        command.env("PATH", std::env::join_paths(paths).unwrap());
        command
    }

    /// Runs a script and returns all it said.
    pub fn run(&self, place: &str, script: &str) -> String {
        let output = self.bash(&format!("{{ {script}\n}} 2>&1")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{place}: {}\n{script}\n{said}", output.status);
        said
    }

    /// Puts in place what a command needs.
    pub fn give(&mut self, place: &str, what: &str) {
        if !self.given.insert(what.to_owned()) {
            return;
        }
        let folder = self.folder();
        match what {
            "cifar10" => cifar10(&folder.join("data/raw/cifar10")),
            "mnist-5k" => copy_folder(&job().raw, &folder.join("data/raw/mnist-5k")),
            // A run of two epochs on mnist-5k, with its shards.
            "first" => {
                let (shards, run) =
                    (folder.join("data/shards/mnist-5k"), folder.join("runs/first"));
                copy_folder(&job().shards, &shards);
                ok(program("train")
                    .args([
                        "-q",
                        "--recipe",
                        "article",
                        "--device",
                        "cpu",
                        "--epochs",
                        "2",
                        "--threads",
                        "1",
                    ])
                    .args(["--data", "data/shards/mnist-5k", "--run"])
                    .arg(&run)
                    .current_dir(folder));
            }
            // The same run under other names, as pages about several runs have them.
            "runs" => {
                self.give(place, "first");
                for name in ["mnist", "second"] {
                    ok(&mut self.bash(&format!("cp -r runs/first runs/{name}")));
                }
                ok(&mut self.bash("cp -r data/shards/mnist-5k data/shards/mnist"));
            }
            "photos" => {
                pets(&folder.join("photos"), 28);
                fs::copy(folder.join("photos/cat/0.jpg"), folder.join("photo.jpg"))
                    .unwrap();
            }
            "pets" => {
                pets(&folder.join("pets"), 40);
                pets(&folder.join("pictures/pets"), 40);
            }
            other => panic!(
                "{place}: `given: {other}`: there is no such thing in tests/desk.rs"
            ),
        }
    }
}

/// A CIFAR-10 with few images, in the binary version's form: a label and 32x32 pixels of
/// each colour.
fn cifar10(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let classes =
        "airplane automobile bird cat deer dog frog horse ship truck".replace(' ', "\n");
    fs::write(folder.join("batches.meta.txt"), classes).unwrap();
    let names = (1..=5)
        .map(|i| format!("data_batch_{i}.bin"))
        .chain(["test_batch.bin".to_owned()]);
    for (batch, name) in names.enumerate() {
        let record = |i: usize| {
            let pixels = (0..3072)
                .map(move |p: usize| ((p * (i % 10 + 2) + batch * 31 + i) % 251) as u8);
            std::iter::once((i % 10) as u8).chain(pixels)
        };
        fs::write(folder.join(name), (0..40).flat_map(record).collect::<Vec<u8>>())
            .unwrap();
    }
}

/// Two classes of small pictures. Called .jpg, as people's are; what they are is told by
/// their content, PNM.
fn pets(folder: &Path, side: u32) {
    for (class, red) in [("cat", 200u8), ("dog", 40)] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..10u8 {
            let mut picture = format!("P6 {side} {side} 255\n").into_bytes();
            picture.extend(
                (0..side * side).flat_map(|p: u32| [red, (p % 200) as u8, i * 20]),
            );
            fs::write(folder.join(class).join(format!("{i}.jpg")), picture).unwrap();
        }
    }
}

/// The Python that `make test` made.
pub fn python() -> Option<PathBuf> {
    std::env::var_os("TORCHMILL_PYTHON").map(PathBuf::from)
}
