//! `make install`, and the programs it installs, away from the project.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use torchmill_testing::{PROGRAMS, Sandbox, exists, libtorch, names, ok, repository};

/// Installs into a folder and returns the path of the prefix in it.
fn install(project: &Sandbox) -> std::path::PathBuf {
    let destination = project.join("destination");
    ok(&mut project.make(&[
        "install",
        "PREFIX=/opt/torchmill",
        &format!("DESTDIR={}", destination.display()),
    ]));
    destination.join("opt/torchmill")
}

/// Runs an installed program from another folder, in an empty environment.
fn run(prefix: &Path, name: &str, argument: &str) -> String {
    let mut command = Command::new(prefix.join("bin").join(name));
    ok(command.arg(argument).current_dir("/").env_clear()).stdout
}

/// Checks that the documents in a folder link only to files that are installed.
fn check_links(folder: &Path) {
    let mut count = 0;
    for name in names(folder).iter().filter(|name| name.ends_with(".md")) {
        let page = fs::read_to_string(folder.join(name)).unwrap();
        for link in page.split("](").skip(1) {
            let end = link.find([')', '#']).unwrap();
            let target = &link[..end];
            if !target.is_empty() && !target.contains("://") {
                assert!(exists(&folder.join(target)), "{name} links to {target}");
                count += 1;
            }
        }
    }
    assert!(count > 0, "no links in {}", folder.display());
}

#[test]
fn installed_programs_run_from_anywhere() {
    let project = Sandbox::project();
    let prefix = install(&project);
    for name in PROGRAMS {
        assert!(run(&prefix, name, "--version").starts_with(name));
        assert!(
            fs::read_to_string(prefix.join(format!("share/man/man1/{name}.1")))
                .unwrap()
                .contains(".TH")
        );
        for file in [
            format!("share/bash-completion/completions/{name}"),
            format!("share/zsh/site-functions/_{name}"),
            format!("share/fish/vendor_completions.d/{name}.fish"),
        ] {
            assert!(fs::metadata(prefix.join(&file)).unwrap().len() > 100, "{file}");
        }
    }
    // The programs that are linked with libtorch are found where they were installed, and
    // find libtorch.
    let mut summary = Command::new(prefix.join("bin/train"));
    summary
        .args(["--summary", "--input", "3x32x32", "--num-classes", "10"])
        .current_dir("/")
        .env_clear();
    assert!(ok(&mut summary).stdout.contains("Conv2d"));
    for codec in ["libjpeg.so", "libtiff.so", "libwebp.so", "libwebpdemux.so"] {
        assert!(prefix.join("lib/torchmill-codecs").join(codec).is_file(), "{codec}");
    }
    let documents = prefix.join("share/doc/torchmill");
    check_links(&documents);
    check_links(&documents.join("docs"));
    // For a libtorch outside the project, a symbolic link is installed.
    assert!(prefix.join("lib/torchmill").is_symlink());

    let destination = format!("DESTDIR={}", project.join("destination").display());
    ok(&mut project.make(&["uninstall", "PREFIX=/opt/torchmill", &destination]));
    assert!(!exists(&prefix), "no file and no folder is left");
}

#[test]
fn programs_are_installed_under_other_names() {
    let project = Sandbox::project();
    let prefix = project.join("a prefix");
    // A folder that existed before is kept.
    fs::create_dir_all(prefix.join("share/man")).unwrap();
    let settings =
        [format!("PREFIX={}", prefix.display()), "PROGRAM_PREFIX=torchmill-".to_owned()];
    let make = |target: &str| {
        ok(&mut project.make(&[target, &settings[0], &settings[1]]));
    };
    make("install");
    make("install");
    for name in PROGRAMS {
        assert!(!exists(&prefix.join("bin").join(name)));
        let name = format!("torchmill-{name}");
        assert!(run(&prefix, &name, "--version").starts_with(&name));
        let page = prefix.join(format!("share/man/man1/{name}.1"));
        let page = fs::read_to_string(page).unwrap();
        assert!(page.contains(&format!(".TH {name} 1 ")), "{page}");
        assert!(exists(
            &prefix.join(format!("share/bash-completion/completions/{name}"))
        ));
    }
    // `torchmill` runs the other programs, also if it is called through a link.
    assert_eq!(run(&prefix, "torchmill", "--version"), "torchmill 0.1.0\n");
    let link = project.join("link");
    symlink(prefix.join("bin/torchmill"), &link).unwrap();
    let mut command = Command::new(&link);
    let said = ok(command.args(["prep", "--help"]).current_dir("/")).stdout;
    assert!(said.contains("Usage: torchmill-prep "), "{said}");
    assert!(said.contains("\n  torchmill-prep pets --recipe article"), "{said}");
    let mut command = Command::new(&link);
    let output = command.arg("tidy").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(exists(&prefix.join("share/doc/torchmill/LICENSE-MIT")));
    assert!(exists(&prefix.join("share/doc/torchmill/docs/tutorial.md")));
    make("uninstall");
    let mut left = Vec::new();
    for entry in fs::read_dir(&prefix).unwrap() {
        left.push(entry.unwrap().file_name());
    }
    assert_eq!(left, ["share"]);
    assert_eq!(fs::read_dir(prefix.join("share/man")).unwrap().count(), 0);
}

#[test]
fn three_programs_are_built_without_libtorch() {
    // What `cargo install --locked --path crates/prep` builds.
    for (name, needs_libtorch) in
        [("fetch-data", false), ("prep", false), ("scalars", false), ("train", true)]
    {
        let mut command = Command::new("cargo");
        command
            .args(["tree", "--locked", "--offline", "--prefix", "none"])
            .args(["--edges", "normal,build", "--package", name])
            .current_dir(repository());
        let tree = ok(&mut command).stdout;
        let has = |krate: &str| tree.lines().any(|line| line.starts_with(krate));
        assert!(has("torchmill v"), "{tree}");
        assert_eq!(has("torch-sys v"), needs_libtorch, "{name}");
        assert_eq!(has("torchmill-nn v"), needs_libtorch, "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_projects_own_libtorch_is_installed_with_them() {
    if libtorch().join("lib/libtorch_cuda.so").exists() {
        eprintln!("not copying a libtorch with CUDA");
        return;
    }
    let project = Sandbox::project();
    let own = project.join(".libtorch");
    fs::remove_file(&own).unwrap();
    fs::create_dir(&own).unwrap();
    for name in ["include", "lib"] {
        symlink(libtorch().join(name), own.join(name)).unwrap();
    }
    fs::write(own.join("LICENSE"), "PyTorch's licence").unwrap();
    fs::write(own.join("LICENSE-NVIDIA"), "NVIDIA's licence").unwrap();
    let prefix = install(&project);
    let libraries = prefix.join("lib/torchmill");
    assert!(libraries.join("libtorch_cpu.so").is_file() && !libraries.is_symlink());
    let licenses = prefix.join("share/doc/torchmill/licenses");
    for name in ["rust-crates.txt", "image-codecs.txt", "libtorch-libraries.txt"] {
        assert!(exists(&licenses.join(name)), "{name}");
    }
    let pytorch = fs::read_to_string(licenses.join("pytorch.txt")).unwrap();
    assert_eq!(pytorch, "PyTorch's licence\n");
    // The loader takes them from there, not from the project.
    let mut command = Command::new("ldd");
    let linked = ok(command
        .arg(prefix.join("libexec/torchmill/train-torch"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin"))
    .stdout;
    let torch = linked.lines().find(|line| line.contains("libtorch_cpu.so")).unwrap();
    assert!(torch.contains(&*prefix.to_string_lossy()), "{torch}");
    fs::remove_dir_all(&prefix).unwrap();
}
