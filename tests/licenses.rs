//! scripts/licenses: the licences of what the programs and packages contain from others.

use std::fs;
use std::path::Path;
use std::process::Command;

use torchmill_testing::{PROGRAMS, Sandbox, codecs, fails, names, ok, repository};

/// The script with its first argument, writing to a folder.
fn licenses(what: &str, output: &Path) -> Command {
    let mut command = Command::new(repository().join("scripts/licenses"));
    command.arg(what).arg("--output").arg(output);
    command
}

/// The crates that cargo links into the programs, as `name version`.
fn linked_crates() -> Vec<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["tree", "--locked", "--prefix", "none", "--format", "{p}"]);
    cargo.args(["--edges", "normal,no-proc-macro"]).current_dir(repository());
    for program in PROGRAMS {
        cargo.args(["--package", program]);
    }
    let tree = ok(&mut cargo).stdout;
    let mut crates = Vec::new();
    for line in tree.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // A crate of this project is followed by its folder, one that is listed again by
        // `(*)`.
        if let [name, version, rest @ ..] = words.as_slice()
            && rest.iter().all(|word| *word == "(*)")
        {
            crates.push(format!("{name} {}", version.trim_start_matches('v')));
        }
    }
    crates.sort();
    crates.dedup();
    crates
}

#[test]
fn every_linked_crate_is_listed_with_its_licence() {
    let sandbox = Sandbox::new();
    for folder in ["first", "second"] {
        ok(&mut licenses("programs", &sandbox.join(folder)));
    }
    for name in names(sandbox.join("first")) {
        let read = |folder: &str| fs::read(sandbox.join(folder).join(&name)).unwrap();
        assert!(read("first") == read("second"), "{name}: the same bytes");
    }
    let text = fs::read_to_string(sandbox.join("first/rust-crates.txt")).unwrap();
    let crates = linked_crates();
    assert!(crates.len() > 100, "{crates:?}");
    let (list, texts) = text.split_once("\n\n=====").unwrap();
    for name in &crates {
        assert!(list.contains(&format!("\n{name} ")), "{name} is not listed");
        // The names above a text are wrapped.
        let words: Vec<&str> = texts.split_whitespace().collect();
        let name: Vec<&str> = name.split(' ').collect();
        let found = words.windows(3).any(|w| w[..2] == name[..] && w[2].starts_with('('));
        assert!(found, "{name:?} has no licence");
    }
    // What only tests and build scripts use is not in the programs.
    assert!(!list.contains("\nproptest ") && !list.contains("\ncxx-build "), "{list}");
    let standard = sandbox.join("first/rust-standard-library.html");
    if standard.exists() {
        assert!(fs::read_to_string(standard).unwrap().contains("hashbrown"));
    }
}

/// Writes a package. Returns its folder, relative to the sandbox.
fn package(sandbox: &Sandbox, name: &str, more: &str) {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n{more}\n"
    );
    sandbox.write(format!("{name}/Cargo.toml"), manifest);
    sandbox.write(format!("{name}/src/lib.rs"), "");
}

#[test]
fn a_crate_without_a_licence_is_named() {
    let sandbox = Sandbox::new();
    let dependencies = "[dependencies]\nbare = { path = \"../bare\" }\n\
        other = { path = \"../other\" }\n[workspace]\n";
    package(&sandbox, "app", dependencies);
    let repository = "license = \"MIT\"\nrepository = \"https://example.org/both\"";
    package(&sandbox, "bare", repository);
    package(&sandbox, "other", repository);
    for name in ["bare", "other"] {
        // Otherwise cargo would look for their workspace, and find this project.
        let manifest = sandbox.join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(manifest, text + "[workspace]\n").unwrap();
    }
    let manifest = sandbox.join("app/Cargo.toml");
    let mut cargo = Command::new("cargo");
    cargo.args(["generate-lockfile", "--offline", "--manifest-path"]).arg(&manifest);
    ok(&mut cargo);
    let collect = || {
        let mut command = licenses("programs", &sandbox.join("output"));
        command.args(["--program", "app", "--manifest-path"]).arg(&manifest);
        command
    };
    let message = fails(&mut collect(), 1);
    assert!(message.contains("the crate bare 1.2.3 has no licence file"), "{message}");
    assert!(!sandbox.join("output").exists());

    // Crates of one repository have one licence.
    sandbox.write("other/LICENSE.md", "May be used by all.  \r\n");
    ok(&mut collect());
    let text = fs::read_to_string(sandbox.join("output/rust-crates.txt")).unwrap();
    let heading = "bare 1.2.3 (LICENSE.md of other 1.2.3), other 1.2.3 (LICENSE.md)";
    assert!(text.contains(&format!("{heading}\n\nMay be used by all.\n")), "{text}");
}

#[test]
fn a_library_without_a_licence_is_named() {
    let sandbox = Sandbox::new();
    let output = sandbox.join("output");
    ok(licenses("libraries", &output).arg("--codecs").arg(codecs()));
    sandbox.write("codecs/LICENSE", "----\n\nLIBTIFF\n\nfree");
    sandbox.write("codecs/libtiff.so", "");
    sandbox.write("codecs/libheif-1.so.2", "");
    let mut command = licenses("libraries", &output);
    let message = fails(command.arg("--codecs").arg(sandbox.join("codecs")), 1);
    assert!(message.contains("no licence of libheif-1.so.2"), "{message}");

    let libtorch = sandbox.join("libtorch");
    let collect = || {
        let mut command = licenses("libraries", &output);
        command.arg("--libtorch").arg(&libtorch);
        command
    };
    sandbox.write("libtorch/lib/libtorch_cpu.so", "");
    let message = fails(&mut collect(), 1);
    assert!(message.contains("no licence of PyTorch in /"), "{message}");
    sandbox.write("libtorch/LICENSE", "BSD");
    ok(&mut collect());
    sandbox.write("libtorch/lib/libcudart.so.13", "");
    let message = fails(&mut collect(), 1);
    assert!(
        message.contains("no LICENSE-NVIDIA, the licence of libcudart.so.13"),
        "{message}"
    );
    // pip puts it next to the folder.
    let wheel = "nvidia_cuda_runtime-13.0.dist-info/licenses/License.txt";
    sandbox.write(wheel, "NVIDIA's terms");
    ok(&mut collect());
    let text = fs::read_to_string(output.join("libtorch-libraries.txt")).unwrap();
    assert!(text.contains("NVIDIA CUDA\n\nNVIDIA's terms\n"), "{text}");
    sandbox.write("libtorch/lib/libother.so.1", "");
    let message = fails(&mut collect(), 1);
    assert!(message.contains("the licence of libother.so.1 is not known"), "{message}");
}
