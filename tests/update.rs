//! scripts/update-libtorch finds and changes every version.

use std::fs;
use std::process::Command;

use torchmill_testing::{Sandbox, ok, repository};

/// The files that name tch's or libtorch's version.
const FILES: [&str; 10] = [
    "Cargo.toml",
    "README.md",
    "bench/requirements.txt",
    "crates/torchmill/src/libtorch.rs",
    "crates/train/src/torch.rs",
    "docs/layout.md",
    "docs/tutorial.md",
    "docs/tutorial.zh.md",
    "scripts/check-gpu",
    "scripts/install-libtorch",
];

#[test]
fn the_versions_of_tch_and_libtorch_are_changed_together() {
    let sandbox = Sandbox::new();
    for file in FILES {
        sandbox.write(file, fs::read(repository().join(file)).unwrap());
    }
    let mut update = Command::new(repository().join("scripts/update-libtorch"));
    update.args(["7.8.9", "12.34.5", "--no-download", "--root"]);
    let said = ok(update.arg(sandbox.path())).stdout;
    assert_eq!(said.matches("changed ").count(), FILES.len(), "{said}");
    let read = |file: &str| fs::read_to_string(sandbox.join(file)).unwrap();
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("tch = \"=7.8.9\"\ntorch-sys = \"=7.8.9\""), "{manifest}");
    assert!(read("scripts/install-libtorch").contains("\nTORCH=12.34.5\n"));
    assert!(
        read("crates/torchmill/src/libtorch.rs").contains("VERSION: &str = \"12.34.5\"")
    );
    assert!(read("README.md").contains("has PyTorch 12.34 installs"));
    // The old version may only remain in measurements and in these tests.
    for file in ["Cargo.toml", "scripts/install-libtorch", "docs/tutorial.md"] {
        assert!(!read(file).contains("2.11") && !read(file).contains("0.24.0"), "{file}");
    }
}
