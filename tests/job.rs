//! A small pipeline that most tests start from.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use torchmill_testing::{Said, Sandbox, ok, program};

/// The fetched mnist-5k, its shards, and a run of two epochs.
pub struct Job {
    pub raw: PathBuf,
    pub shards: PathBuf,
    pub run: PathBuf,
    /// What `train` printed.
    pub train: Said,
}

impl Job {
    /// The checkpoint after the second epoch.
    pub fn checkpoint(&self) -> PathBuf {
        self.run.join("checkpoints/epoch-0002.safetensors")
    }
}

/// The job, which is run by the first test that needs it.
pub fn job() -> &'static Job {
    static JOB: OnceLock<Job> = OnceLock::new();
    JOB.get_or_init(|| {
        let sandbox = Sandbox::shared("job");
        let raw = sandbox.join("raw/mnist-5k");
        let shards = sandbox.join("shards");
        let run = sandbox.join("run");
        let mut fetch = program("fetch-data");
        fetch.arg("mnist-5k").arg("--root").arg(sandbox.join("raw"));
        assert_eq!(Path::new(ok(&mut fetch).stdout.trim()), raw);
        let mut prep = program("prep");
        ok(prep.arg(&raw).arg("-o").arg(&shards).args(["--recipe", "article"]));
        let train = ok(train(&shards, &run).args(["--epochs", "2"]));
        Job { raw, shards, run, train }
    })
}

/// A command that trains the article's recipe, with a learning rate for short runs. It
/// uses one thread, so that the bytes do not depend on the machine's number of cores.
pub fn train(shards: impl AsRef<OsStr>, run: impl AsRef<OsStr>) -> Command {
    let mut command = program("train");
    command
        .args(["--recipe", "article", "--lr", "0.05", "--device", "cpu"])
        .args(["--threads", "1", "--data"])
        .arg(shards)
        .arg("--run")
        .arg(run);
    command
}

/// Python with a script of `tests/python`; `None` if the tests have no Python.
pub fn python(script: &str) -> Option<Command> {
    let mut command = torchmill_testing::python(script)?;
    command.arg(torchmill_testing::repository().join("tests/python").join(script));
    Some(command)
}
