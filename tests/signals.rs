//! Signals that whoever started a program ignores.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use torchmill_testing::{Sandbox, default_signals, exists, ok};

fn send(signal: &str, child: &Child) {
    ok(Command::new("kill").args([signal, &child.id().to_string()]));
}

/// Waits for something for a minute at most.
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
    // As a script starts a command in the background, and nohup.
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
