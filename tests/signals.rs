//! Signals: those that the caller ignores, and Ctrl-C.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use torchmill_testing::{Sandbox, default_signals, exists, names, ok};

use crate::job::job;

fn send(signal: &str, child: &Child) {
    ok(Command::new("kill").args([signal, &child.id().to_string()]));
}

/// Waits at most a minute for something.
fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_there() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    let sandbox = Sandbox::new();
    let header = "wall_time,step,epoch,tag,value\n1,1,1,train loss,2\n";
    let metrics = sandbox.write("runs/a/metrics.csv", header);
    // A script starts a background command like this, and so does nohup.
    let script = "trap '' INT HUP; exec scalars --quiet --follow runs --logdir logs";
    let mut child = sandbox.bash(script).spawn().unwrap();
    wait_for("no events", || exists(&sandbox.join("logs/a")));
    send("-INT", &child);
    send("-HUP", &child);
    std::fs::write(&metrics, format!("{header}2,2,1,train loss,1\n")).unwrap();
    wait_for("the new point is not followed", || {
        let dump = sandbox.run("scalars", &["--dump", "logs/a"]);
        String::from_utf8_lossy(&dump.stdout).lines().count() == 3
    });
    assert!(child.try_wait().unwrap().is_none(), "an ignored signal ended it");
    send("-TERM", &child);
    let ended = child.wait().unwrap();
    assert!(ended.code().is_some(), "{ended}");
}

/// The system restarts `read` after a signal, so a program that waits for input must
/// check for signals.
#[test]
fn one_ctrl_c_ends_a_program_that_waits_for_input() {
    let sandbox = Sandbox::new();
    let run = job().run.display().to_string();
    let commands: [&[&str]; 5] = [
        &["prep", "-", "-o", "shards"],
        &["prep", "--inspect", "-"],
        &["scalars", "-", "--logdir", "logs"],
        &["scalars", "--dump", "-"],
        &["evaluate", &run, "-", "--device", "cpu"],
    ];
    for arguments in commands {
        let mut command = sandbox.program(arguments[0]);
        // The pipe's other end stays open: no input comes, and no end.
        command.args(&arguments[1..]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        wait_for("no handler of SIGINT", || catches_sigint(Path::new(&status)));
        std::thread::sleep(Duration::from_millis(200));
        send("-INT", &child);
        wait_for("it waits for a second Ctrl-C", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
    }
    assert!(!exists(&sandbox.join("shards")) || names(sandbox.join("shards")).is_empty());
}

/// Whether a process has a handler of SIGINT. Without /proc this is a guess.
fn catches_sigint(status: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(status) else { return true };
    let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    const SIGINT: u32 = 2;
    caught & (1 << (SIGINT - 1)) != 0
}

/// `(make test) &` in a script starts the tests with SIGINT ignored.
#[test]
fn tests_start_programs_with_the_default_signals() {
    let sandbox = Sandbox::new();
    let mut inner = Command::new("bash");
    default_signals(&mut inner);
    let ended = inner
        .args(["-c", "kill -INT $$; echo still here"])
        .current_dir(sandbox.path())
        .output()
        .unwrap();
    assert!(ended.stdout.is_empty(), "SIGINT was ignored");
}
