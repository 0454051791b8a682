//! If standard error cannot be written (`2>&1 | head`, a full disk), every program still
//! does its work.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use torchmill_testing::{Sandbox, program};

use crate::job::{job, train};

/// Runs a command with such a standard error. The exit status must be the usual one.
#[track_caller]
fn unread(make: impl Fn() -> Command, status: i32) {
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full");
    for stderr in
        [Some(Stdio::from(closed)), full.ok().map(Stdio::from)].into_iter().flatten()
    {
        let mut command = make();
        let ended = command.stdout(Stdio::null()).stderr(stderr).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{command:?}");
    }
}

#[test]
fn no_program_needs_its_messages_to_be_read() {
    let (job, folder) = (job(), Sandbox::new());
    unread(
        || {
            let mut command = program("fetch-data");
            command.arg("mnist-5k").arg("--root").arg(folder.join("raw"));
            command
        },
        0,
    );
    let shards = folder.join("shards");
    unread(
        || {
            let mut command = program("prep");
            command.arg(&job.raw).arg("-o").arg(&shards).args(["--limit", "100"]);
            command
        },
        0,
    );
    let run = folder.join("run");
    unread(
        || {
            let mut command = train(&shards, &run);
            command.args(["--epochs", "1", "--resume"]);
            command
        },
        0,
    );
    assert!(run.join("checkpoints/epoch-0001.safetensors").exists());
    unread(
        || {
            let mut command = program("evaluate");
            command.arg(&run).args(["--device", "cpu"]);
            command
        },
        0,
    );
    let logs = folder.join("logs");
    unread(
        || {
            let mut command = program("scalars");
            command.arg(&run).arg("-o").arg(&logs);
            command
        },
        0,
    );
    assert_eq!(fs::read_dir(logs.join("run")).unwrap().count(), 1);
    // A usage error only gives its exit status.
    for name in ["prep", "train", "evaluate", "scalars"] {
        unread(
            || {
                let mut command = program(name);
                command.args(["--no-such-option"]);
                command
            },
            2,
        );
    }
    unread(
        || {
            let mut command = program("scalars");
            command.args([folder.join("none.csv"), folder.join("nor.csv")]);
            command
        },
        1,
    );
}
