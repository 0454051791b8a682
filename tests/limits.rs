//! The system's limits on a process, and its clock: a program that cannot run within them
//! fails with an error, never with a panic or a crash.

use std::process::Command;

use torchmill_testing::{PROGRAMS, Sandbox, fails, ok, program, repository};

use crate::job::{job, train};
use crate::permissions::without_rights;

/// The command, run within limits of `ulimit`.
fn limited(limits: &str, command: &Command) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("ulimit {limits} && exec \"$@\""), "bash"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    bash
}

/// The message of a program that must fail within limits with exit status 1.
fn fails_within(limits: &str, command: &Command) -> String {
    let output = limited(limits, command).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{command:?}: {stderr}");
    stderr
}

#[test]
fn a_small_stack_is_refused() {
    for name in PROGRAMS {
        let mut command = program(name);
        let message = fails_within("-s 64", command.arg("--version"));
        let expected = format!("{name}: the stack is limited to 64 KiB (ulimit -s)");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn libtorch_needs_memory() {
    let folder = Sandbox::new();
    let mut evaluate = program("evaluate");
    evaluate.arg(&job().run);
    for command in [evaluate, train(&job().shards, folder.join("run"))] {
        let message = fails_within("-v 400000", &command);
        assert!(message.contains("the memory is limited to 400000 KiB"), "{message}");
    }
    assert!(!folder.join("run").exists());
    // The other programs need less.
    let mut prep = program("prep");
    prep.arg(&job().raw).arg("-o").arg(folder.join("out")).args(["--limit", "100"]);
    ok(&mut limited("-v 400000", &prep));
}

/// The command for a user who may not start threads. Root always may, so it is another
/// user then. `None` if that user cannot run the programs.
fn without_threads(command: &Command) -> Option<Command> {
    Some(limited("-u 1", &without_rights(command)?))
}

#[test]
fn no_thread_to_be_had_is_an_error() {
    let folder = Sandbox::new();
    // The other user must be able to write here.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).unwrap();
    let mut prep = program("prep");
    prep.arg(&job().raw).arg("-o").arg(folder.join("out"));
    let mut evaluate = program("evaluate");
    evaluate.arg(&job().run).args(["--device", "cpu"]);
    let mut follow = program("scalars");
    follow.args(["-", "--follow", "--logdir"]).arg(folder.join("followed"));
    let mut download = program("fetch-data");
    download.args(["pets", "--from", "http://127.0.0.1:9/pets.tar", "--root"]);
    download.arg(folder.join("downloaded"));
    let train = train(&job().shards, folder.join("run"));
    for command in [prep, evaluate, train, follow, download] {
        let Some(mut command) = without_threads(&command) else { return };
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {stderr}");
        assert!(stderr.contains("cannot start a thread: "), "{command:?}: {stderr}");
    }
    // These programs need no threads.
    let mut scalars = program("scalars");
    scalars.arg(&job().run).arg("--logdir").arg(folder.join("logs"));
    let mut fetch = program("fetch-data");
    fetch.arg("mnist-5k").arg("--root").arg(folder.join("raw"));
    for command in [scalars, fetch] {
        let Some(mut command) = without_threads(&command) else { return };
        ok(&mut command);
    }
}

#[test]
fn numbers_of_threads_in_variables_are_bounded() {
    let folder = Sandbox::new();
    let mut prep = program("prep");
    prep.arg(&job().raw).arg("-o").arg(folder.join("out")).args(["--limit", "100"]);
    ok(prep.env("RAYON_NUM_THREADS", "99999"));
    let mut train = train(&job().shards, folder.join("run"));
    train.args(["--epochs", "1", "--limit-batches", "2"]);
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
        train.env(variable, "99999");
    }
    ok(&mut train);
}

#[test]
fn endless_input_is_not_read_to_its_end() {
    let mut prep = program("prep");
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    prep.args(["-", "-o", "/nonexistent"]).stdin(zeros);
    let message = fails(&mut prep, 1);
    assert!(message.contains("standard input, line 1"), "{message}");

    let mut evaluate = program("evaluate");
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    evaluate.arg(&job().run).arg("-").args(["--device", "cpu"]).stdin(zeros);
    let message = fails(&mut evaluate, 1);
    assert!(message.contains("standard input, line 1"), "{message}");

    let mut recipe = program("train");
    recipe.args(["--recipe", "/dev/zero", "--data"]).arg(&job().shards);
    let mut classes = program("evaluate");
    classes.arg(&job().run).args(["--classes", "/dev/zero", "--device", "cpu"]);
    for mut command in [recipe, classes] {
        let message = fails(&mut command, 1);
        let expected = "/dev/zero: it is larger than 64 MiB, too large for text";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_working_folder_that_is_too_deep_is_refused() {
    let folder = Sandbox::new();
    // A path of 4,096 bytes can only be created step by step.
    let script = "
        name=$(printf 'd%.0s' $(seq 200))
        for i in $(seq 25); do mkdir $name; cd -P $name; done
        train --help >/dev/null
        ! fetch-data mnist-5k
        ! prep x -o y
        ! train -d x
        ! evaluate x
        ! scalars x --dump";
    let said = folder.run_bash("a deep folder", script);
    let refused = said.lines().filter(|line| {
        line.contains(": the path of the working folder has ") && line.contains(" bytes")
    });
    assert_eq!(refused.count(), 5, "{said}");
}

/// A library that moves the clock by `CLOCK_SHIFT` seconds; `None` without a C compiler.
fn moved_clock(folder: &Sandbox) -> Option<std::path::PathBuf> {
    let library = folder.join("clock.so");
    let source = repository().join("tests/clock.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    if !compiler.output().is_ok_and(|output| output.status.success()) {
        eprintln!("there is no C compiler: not run with another clock");
        return None;
    }
    Some(library)
}

#[test]
fn a_clock_that_is_far_off_changes_nothing() {
    let folder = Sandbox::new();
    let Some(library) = moved_clock(&folder) else { return };
    // The years 1931 and 11533.
    for shift in ["-3000000000", "300000000000"] {
        let script = format!(
            "export LD_PRELOAD={} CLOCK_SHIFT={shift}
            rm -rf raw shards run logs
            fetch-data mnist-5k --root raw
            prep raw/mnist-5k -o shards --limit 100 --recipe article
            prep raw/mnist-5k -o shards --limit 100 --recipe article
            train -d shards --run run --epochs 1 --device cpu
            train --run run --resume --epochs 2 --device cpu
            evaluate run --device cpu
            evaluate --compare run
            scalars run --logdir logs
            scalars --dump logs",
            library.display()
        );
        let said = folder.run_bash("the moved clock", &script);
        assert!(said.contains("up to date, nothing done"), "{said}");
        assert!(said.contains(",test accuracy,"), "{said}");
    }
}
