//! `train` and `evaluate` start without libtorch. If it, or the program that is linked
//! with it, is missing, they say so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use torchmill_testing::{Sandbox, fails, libtorch, ok, program, program_folder};

const PROGRAMS: [&str; 2] = ["train", "evaluate"];

/// Copies a program to a sandbox, without the one that is linked with libtorch.
fn alone(name: &str) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let path = sandbox.join(name);
    fs::copy(program_folder().join(name), &path).unwrap();
    (sandbox, path)
}

/// The libraries that glibc's loader loads for `--help`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn loaded(name: &str) -> String {
    ok(program(name).arg("--help").env("LD_DEBUG", "files")).stderr
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn help_does_not_load_libtorch() {
    for name in PROGRAMS {
        assert!(loaded(&format!("{name}-torch")).contains("libtorch_cpu.so"));
        let loaded = loaded(name);
        assert!(loaded.contains("libc.so") && !loaded.contains("libtorch"), "{loaded}");
    }
}

#[test]
fn what_needs_no_libtorch_needs_no_other_half() {
    for name in PROGRAMS {
        let (_sandbox, path) = alone(name);
        for arguments in
            [&["--help"][..], &["--version"], &["--man"], &["--completions", "bash"]]
        {
            assert!(
                ok(Command::new(&path).args(arguments)).stdout.contains(name),
                "{arguments:?}"
            );
        }
        assert!(
            fails(Command::new(&path).arg("--colour-of-the-sky"), 2)
                .contains("--colour-of-the-sky")
        );
    }
    let (_sandbox, train) = alone("train");
    assert!(
        ok(Command::new(&train).args(["--print-recipe", "article"]))
            .stdout
            .contains("[train]")
    );
    let message = fails(Command::new(&train).args(["--set", "train.epoch=3"]), 2);
    assert!(message.contains("did you mean epochs"), "{message}");
    let (_sandbox, evaluate) = alone("evaluate");
    let message = fails(Command::new(&evaluate).arg("photo.jpg"), 2);
    assert!(message.contains("no checkpoint among the arguments"), "{message}");
}

/// A file that exists: a missing file would be reported first.
const A_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

#[test]
fn a_missing_half_is_named() {
    for (name, argument) in [("train", "--summary"), ("evaluate", A_FILE)] {
        let (_sandbox, path) = alone(name);
        let message = fails(Command::new(&path).arg(argument), 1);
        assert!(
            message.contains(&format!("{name}-torch, the half of {name}")),
            "{message}"
        );
        assert!(message.contains("make install"), "{message}");
    }
}

#[test]
fn a_missing_libtorch_is_named() {
    let folder = libtorch().join("lib").canonicalize().unwrap();
    for (name, argument) in [("train", "--summary"), ("evaluate", A_FILE)] {
        // As if the libtorch that they were built with had been removed.
        let (_sandbox, path) = alone(name);
        rename_within(&path, folder.to_str().unwrap());
        fs::copy(
            program_folder().join(format!("{name}-torch")),
            path.with_file_name(format!("{name}-torch")),
        )
        .unwrap();
        let message =
            fails(Command::new(&path).arg(argument).env_remove("LD_LIBRARY_PATH"), 1);
        assert!(message.contains("libtorch 2.11.0 is not there"), "{message}");
        assert!(message.contains("scripts/install-libtorch"), "{message}");
        let version =
            ok(Command::new(&path).arg("--version").env_remove("LD_LIBRARY_PATH")).stdout;
        assert!(version.contains("which is missing"), "{version}");
        let found =
            ok(Command::new(&path).arg("--version").env("LD_LIBRARY_PATH", &folder))
                .stdout;
        assert!(!found.contains("missing"), "{found}");
    }
}

/// Replaces the path `text` in a file with one of the same length that does not exist.
fn rename_within(file: &Path, text: &str) {
    let mut bytes = fs::read(file).unwrap();
    let places: Vec<usize> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, w)| *w == text.as_bytes())
        .map(|(i, _)| i)
        .collect();
    assert!(!places.is_empty(), "{} does not say where libtorch is", file.display());
    for at in places {
        bytes[at + 1..at + text.len()].fill(b'-');
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn threads_that_wait_sleep_soon_unless_the_user_says_otherwise() {
    for (name, argument) in [("train", "--summary"), ("evaluate", A_FILE)] {
        let (_sandbox, path) = alone(name);
        let half = path.with_file_name(format!("{name}-torch"));
        fs::write(&half, "#!/bin/sh\necho \"$GOMP_SPINCOUNT,$OMP_WAIT_POLICY\"\n")
            .unwrap();
        fs::set_permissions(&half, fs::Permissions::from_mode(0o755)).unwrap();
        let said = |variables: &[(&str, &str)]| {
            let mut command = Command::new(&path);
            command.arg(argument).env("LD_LIBRARY_PATH", libtorch().join("lib"));
            command.env_remove("GOMP_SPINCOUNT").env_remove("OMP_WAIT_POLICY");
            ok(command.envs(variables.iter().copied())).stdout
        };
        assert_eq!(said(&[]), "20000,\n");
        assert_eq!(said(&[("GOMP_SPINCOUNT", "7")]), "7,\n");
        assert_eq!(said(&[("OMP_WAIT_POLICY", "active")]), ",active\n");
    }
}
