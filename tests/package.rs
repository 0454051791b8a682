//! `make wheel` and `make dist`: their packages are installed and run outside the
//! project.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use torchmill_testing::{
    LIBTORCH_PROGRAMS, PROGRAMS, Sandbox, codecs, exists, fails, libtorch, ok,
    program_folder, python, repository,
};

/// Packs the tested programs, without compression.
fn pack(kind: &str, libtorch: &Path, output: &Path) -> PathBuf {
    let mut command = Command::new(repository().join("scripts/package"));
    command
        .args([kind, "--level", "0", "--programs"])
        .arg(program_folder())
        .arg("--codecs")
        .arg(codecs())
        .arg("--libtorch")
        .arg(libtorch)
        .arg("--output")
        .arg(output);
    PathBuf::from(ok(&mut command).stdout.trim())
}

/// Runs an installed program in an empty environment.
fn run(prefix: &Path, name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(prefix.join("bin").join(name));
    ok(command.args(arguments).current_dir("/").env_clear()).stdout
}

const SUMMARY: [&str; 5] = ["--summary", "--input", "3x32x32", "--num-classes", "10"];

#[test]
#[cfg(target_os = "linux")]
fn the_wheels_programs_use_the_libtorch_of_the_pytorch_next_to_them() {
    let sandbox = Sandbox::new();
    let wheel = pack("wheel", &libtorch(), &sandbox.join("dist"));
    let again = pack("wheel", &libtorch(), &sandbox.join("again"));
    assert!(fs::read(&wheel).unwrap() == fs::read(again).unwrap(), "the same bytes");
    let prefix = sandbox.join("prefix");
    let Some(mut python) = python("a wheel cannot be installed") else { return };
    let mut pip =
        if python.args(["-m", "pip", "--version"]).output().unwrap().status.success() {
            let mut pip = Command::new(python.get_program());
            pip.args(["-m", "pip"]);
            pip
        } else {
            // Debian's virtual environments may lack pip.
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "--python"]).arg(python.get_program());
            pip
        };
    pip.args(["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]);
    ok(pip.arg("--prefix").arg(&prefix).arg(&wheel));
    for name in PROGRAMS {
        assert!(run(&prefix, name, &["--version"]).starts_with(name));
        assert!(exists(&prefix.join(format!("share/man/man1/{name}.1"))));
        assert!(exists(
            &prefix.join(format!("share/bash-completion/completions/{name}"))
        ));
    }
    let torch = format!("torchmill-{}.dist-info", env!("CARGO_PKG_VERSION"));
    let information = prefix.join("lib/python3.11/site-packages").join(torch);
    let metadata = fs::read_to_string(information.join("METADATA")).unwrap();
    for name in ["LICENSE-MIT", "third-party/rust-crates.txt", "third-party/pytorch.txt"]
    {
        assert!(metadata.contains(&format!("License-File: {name}\n")), "{metadata}");
        assert!(exists(&information.join("licenses").join(name)), "{name}");
    }
    // The files of a PyTorch that pip installed.
    let torch = prefix.join("lib/python3.11/site-packages/torch");
    fs::create_dir_all(&torch).unwrap();
    fs::write(torch.join("version.py"), "__version__ = '2.11.0+here'\n").unwrap();
    symlink(libtorch().join("lib"), torch.join("lib")).unwrap();
    let version = run(&prefix, "train", &["--version"]);
    assert!(version.contains("libtorch 2.11.0+here in "), "{version}");
    assert!(run(&prefix, "train", &SUMMARY).contains("Conv2d"));
    // A PyTorch of another version is not used: the programs are linked with this one.
    fs::write(torch.join("version.py"), "__version__ = '2.10.0'\n").unwrap();
    assert!(!run(&prefix, "train", &["--version"]).contains("2.10"));
}

/// A libtorch of a few small files: the real one takes long to pack.
fn small_libtorch(sandbox: &Sandbox) -> PathBuf {
    let libraries = sandbox.join("libtorch/lib");
    fs::create_dir_all(&libraries).unwrap();
    for name in ["libtorch_cpu.so", "libgomp-1.so.1"] {
        fs::write(libraries.join(name), [b'x'; 2000]).unwrap();
    }
    fs::write(libraries.join("libshim.a"), [0; 2000]).unwrap();
    fs::write(sandbox.join("libtorch/LICENSE"), "PyTorch's licence").unwrap();
    sandbox.join("libtorch")
}

#[test]
#[cfg(target_os = "linux")]
fn a_tarball_installs_and_removes_itself() {
    let sandbox = Sandbox::new();
    let tarball = pack("tarball", &small_libtorch(&sandbox), &sandbox.join("dist"));
    let mut tar = Command::new("tar");
    ok(tar.arg("-xzf").arg(&tarball).arg("-C").arg(sandbox.join("dist")));
    let name = tarball.file_name().unwrap().to_str().unwrap();
    let folder = sandbox.join("dist").join(name.strip_suffix(".tar.gz").unwrap());
    let prefix = sandbox.join("a prefix");
    let script = |arguments: &[&str]| {
        let mut command = Command::new(folder.join("install.sh"));
        ok(command.arg(&prefix).args(arguments)).stdout
    };
    assert!(script(&[]).contains("torchmill is installed"));
    assert!(script(&[]).contains("torchmill is installed"), "once more");
    for name in PROGRAMS {
        assert!(run(&prefix, name, &["--version"]).starts_with(name));
    }
    assert!(exists(&prefix.join("lib/torchmill/libgomp-1.so.1")));
    assert!(exists(&prefix.join("lib/torchmill-codecs/libjpeg.so")));
    let licenses = prefix.join("share/doc/torchmill/licenses");
    let read = |name: &str| fs::read_to_string(licenses.join(name)).unwrap();
    assert!(read("rust-crates.txt").contains("clap "));
    assert!(read("rust-standard-library.html").contains("hashbrown"));
    assert!(read("image-codecs.txt").contains("LIBTIFF"));
    assert_eq!(read("pytorch.txt"), "PyTorch's licence\n");
    assert!(read("libtorch-libraries.txt").contains("GCC RUNTIME LIBRARY EXCEPTION"));
    assert!(!exists(&prefix.join("lib/torchmill/libshim.a")));
    fs::write(prefix.join("bin/another"), "").unwrap();
    script(&["--uninstall"]);
    assert_eq!(files_in(&prefix), ["bin/another"], "no file and no folder is left");
    fs::remove_dir_all(&prefix).unwrap();

    script(&["--program-prefix", "torchmill-"]);
    assert!(
        run(&prefix, "torchmill-train", &["--version"]).starts_with("torchmill-train ")
    );
    assert!(run(&prefix, "torchmill", &["train", "--help"]).contains("torchmill-train"));
    assert!(exists(&prefix.join("share/man/man1/torchmill-train.1")));
    assert!(!exists(&prefix.join("bin/train")));
    script(&["--program-prefix=torchmill-", "--uninstall"]);
    assert!(!exists(&prefix), "{:?}", files_in(&prefix));

    script(&["--program-prefix", "torchmill-"]);
    script(&["--uninstall"]);
    assert!(!exists(&prefix), "the names are known: {:?}", files_in(&prefix));
}

/// The files and the empty folders in a folder, sorted.
fn files_in(folder: &Path) -> Vec<String> {
    let mut command = Command::new("find");
    command.arg(".").args(["-not", "-type", "d", "-o", "-type", "d", "-empty"]);
    let found = ok(command.current_dir(folder)).stdout;
    let mut files: Vec<String> =
        found.lines().map(|line| line.trim_start_matches("./").to_owned()).collect();
    files.sort();
    files
}

#[test]
#[cfg(target_os = "linux")]
fn programs_that_contain_the_projects_path_are_named() {
    let sandbox = Sandbox::new();
    for name in PROGRAMS.into_iter().chain(LIBTORCH_PROGRAMS) {
        let own = repository().to_str().unwrap();
        // The project's path can be a part of another one.
        let path = match name {
            "prep" => format!("{own}/crates/prep/src/main.rs"),
            "scalars" => format!("/other{own}/lib.rs"),
            _ => "/other".to_owned(),
        };
        let program =
            sandbox.write(format!("programs/{name}"), format!("#!/bin/sh\n# {path}\n"));
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(repository().join("scripts/package"));
    command.args(["wheel", "--level", "0", "--programs"]).arg(sandbox.join("programs"));
    command.arg("--codecs").arg(codecs()).arg("--libtorch").arg(small_libtorch(&sandbox));
    let said = ok(command.arg("--output").arg(sandbox.join("dist"))).stderr;
    assert!(said.contains("package: bin/prep contain the path /"), "{said}");
    assert!(!said.contains("bin/scalars"), "{said}");
}

#[test]
fn what_is_missing_is_named() {
    let sandbox = Sandbox::new();
    let mut command = Command::new(repository().join("scripts/package"));
    command.args(["wheel", "--programs"]);
    let message = fails(command.arg(sandbox.join("")), 1);
    assert!(message.contains("has no fetch-data, prep, train"), "{message}");
}
