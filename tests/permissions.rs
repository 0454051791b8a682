//! Files that the user may not read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use torchmill_testing::{Sandbox, ok, program, stderr};

use crate::job::job;

/// How `setpriv` names a user without rights.
const NOBODY: [&str; 5] = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];

/// Whether the tests run as root, to whom permissions do not apply.
pub fn is_root() -> bool {
    ok(Command::new("id").arg("-u")).stdout.trim() == "0"
}

/// The same command as a user without rights: another one if the tests run as root.
/// `None` if that user cannot run the programs.
pub fn without_rights(command: &Command) -> Option<Command> {
    if !is_root() {
        return Some(again(Command::new(command.get_program()), command));
    }
    let mut version = Command::new("setpriv");
    version.args(NOBODY).arg(command.get_program()).arg("--version");
    if !version.output().is_ok_and(|output| output.status.success()) {
        eprintln!("nobody cannot run the programs here: not run without rights");
        return None;
    }
    let mut other = Command::new("setpriv");
    other.args(NOBODY).arg(command.get_program());
    Some(again(other, command))
}

fn again(mut to: Command, from: &Command) -> Command {
    to.args(from.get_args());
    to
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_unreadable_folder_of_checkpoints_is_named() {
    let folder = Sandbox::new();
    let run = folder.join("run");
    let checkpoints = run.join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    for name in ["config.toml", "metrics.csv"] {
        fs::copy(job().run.join(name), run.join(name)).unwrap();
    }
    for path in [folder.path(), &run] {
        set_mode(path, 0o777);
    }
    set_mode(&checkpoints, 0);
    let mut evaluate = program("evaluate");
    evaluate.arg(&run).args(["--device", "cpu"]);
    let mut resume = program("train");
    resume.args(["--resume", "--device", "cpu", "--run"]).arg(&run);
    let mut scalars = program("scalars");
    scalars.arg(&run).arg("--logdir").arg(folder.join("logs"));
    for command in [evaluate, resume, scalars] {
        let Some(mut command) = without_rights(&command) else { break };
        let output = command.output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("/run/checkpoints"), "{message}");
        assert!(message.contains(": permission denied"), "{message}");
    }
    set_mode(&checkpoints, 0o755);
}
