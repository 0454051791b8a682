//! The Makefile, in a folder of its own that borrows the built programs: make believes
//! them just built, so that nothing is compiled.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::programs::{
    PROGRAMS, TORCH_HALVES, names, ok, program_folder, repository, said, scratch,
};

/// A folder to run make in.
pub struct Project(pub PathBuf);

impl Project {
    /// A clone in which everything is built and nothing is fetched.
    pub fn new(name: &str) -> Self {
        let folder = scratch(name);
        for name in ["Cargo.toml", "Cargo.lock", ".cargo", "crates", "scripts", "tests"] {
            symlink(repository().join(name), folder.join(name)).unwrap();
        }
        fs::copy(repository().join("Makefile"), folder.join("Makefile")).unwrap();
        symlink(libtorch(), folder.join(".libtorch")).unwrap();
        let release = folder.join("target/release");
        fs::create_dir_all(&release).unwrap();
        for name in PROGRAMS.into_iter().chain(TORCH_HALVES) {
            symlink(program_folder().join(name), release.join(name)).unwrap();
        }
        for stamp in [".data-programs", ".torch-programs"] {
            fs::write(release.join(stamp), "").unwrap();
        }
        Self(folder)
    }

    /// make with these arguments, and nothing of the make and variables that may have
    /// started this test.
    pub fn make(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("make");
        command
            .current_dir(&self.0)
            .args(arguments)
            .env_clear()
            .env("OMP_NUM_THREADS", "1");
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // No source answers.
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            command.env(name, "http://127.0.0.1:9");
        }
        command
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

/// The libtorch that the programs were built with.
pub fn libtorch() -> PathBuf {
    std::env::var_os("LIBTORCH")
        .map_or_else(|| repository().join(".libtorch"), PathBuf::from)
}

/// Which programs make ran, in order, by the commands that it printed.
fn stages(output: &str) -> Vec<&str> {
    let first_words = output.lines().filter_map(|line| line.split(' ').next());
    first_words.filter(|word| PROGRAMS.contains(word) || *word == "cargo").collect()
}

const ONE_EPOCH: [&str; 3] = ["DATASET=mnist-5k", "EPOCHS=1", "DEVICE=cpu"];

#[test]
fn make_alone_prints_targets_and_variables() {
    let help = ok(&mut Project::new("make-help").make(&[])).stdout;
    for word in [
        "make train ",
        "make test ",
        "make install ",
        "make tensorboard ",
        "DATASET ",
        "RECIPE ",
        "PREFIX ",
    ] {
        assert!(help.contains(word), "no `{word}` in\n{help}");
    }
    // Every target that is for people is in it.
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    let phony = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY:"))
        .flat_map(str::split_whitespace);
    for target in phony.filter(|target| *target != "help") {
        assert!(help.contains(&format!("make {target} ")), "no `{target}` in\n{help}");
    }
}

#[test]
fn a_dry_run_lists_the_stages_and_does_none() {
    let project = Project::new("make-dry-run");
    for arguments in [["-n", "train", "DATASET=cifar10"], ["-n", "train", "DATASET="]] {
        let said = ok(&mut project.make(&arguments));
        assert_eq!(
            stages(&said.stdout),
            ["fetch-data", "prep", "train"],
            "{}",
            said.stdout
        );
    }
    assert!(!project.path("data").exists() && !project.path("runs").exists());
}

#[test]
fn what_is_done_is_not_done_again() {
    let project = Project::new("make-train");
    let make =
        |goals: &[&str]| ok(&mut project.make(&[goals, &ONE_EPOCH].concat())).stdout;

    assert_eq!(
        stages(&make(&["-j2", "train", "evaluate", "scalars"])),
        ["fetch-data", "prep", "train", "evaluate", "scalars"]
    );
    let run = project.path("runs/article-mnist-5k");
    assert!(run.join("checkpoints/last.safetensors").exists());
    assert!(names(&run).iter().any(|n| n.contains("tfevents")), "{:?}", names(&run));

    let again = make(&["train"]);
    assert!(stages(&again).is_empty(), "{again}");
    assert!(again.contains("runs/article-mnist-5k"), "{again}");
    assert!(stages(&make(&["scalars"])).is_empty());

    // On a saved checkpoint, only the evaluation, however many epochs are asked for.
    assert_eq!(stages(&make(&["evaluate"])), ["evaluate"]);
    let last =
        ok(&mut project.make(&["-s", "evaluate", "FORMAT=csv", "DATASET=mnist-5k"]))
            .stdout;
    let same = ok(&mut project.make(&[
        "-s",
        "evaluate",
        "FORMAT=csv",
        "DATASET=mnist-5k",
        "CHECKPOINT=runs/article-mnist-5k/checkpoints/epoch-0001.safetensors",
    ]));
    let figures = |report: &str| {
        report.lines().last().map(|row| row.split_once(',').unwrap().1.to_owned())
    };
    assert_eq!(figures(&last), figures(&same.stdout), "{last}{}", same.stdout);

    // More epochs go on where the run stopped; another seed is another run.
    let more =
        ok(&mut project.make(&["train", "EPOCHS=2", "DATASET=mnist-5k", "DEVICE=cpu"]));
    assert_eq!(stages(&more.stdout), ["train"]);
    assert!(more.stdout.contains("--resume"), "{}", more.stdout);
    assert_eq!(
        stages(
            &ok(&mut project.make(&["-n", "train", "SEED=7", "DATASET=mnist-5k"])).stdout
        ),
        ["train"]
    );
}

#[test]
fn with_no_dataset_and_no_source_it_takes_the_one_that_is_included_and_says_so() {
    let project = Project::new("make-default");
    let said = ok(&mut project.make(&["fetch"]));
    assert!(project.path("data/raw/mnist-5k/dataset.toml").exists());
    assert!(
        said.stderr.contains("taking mnist-5k")
            && said.stderr.contains("DATASET=cifar10"),
        "{}",
        said.stderr
    );
    // The choice lasts, ...
    let again = ok(&mut project.make(&["fetch"]));
    assert!(
        stages(&again.stdout).is_empty() && again.stderr.contains("taking mnist-5k"),
        "{again:?}"
    );
    // ... and one that was asked for is not replaced by another.
    let strict = said_by_failing(&mut project.make(&["fetch", "DATASET=cifar10"]));
    assert!(strict.contains("fetch-data: "), "{strict}");
    assert!(!project.path("data/raw/cifar10/dataset.toml").exists());
    // CIFAR-10, once it is there, comes first.
    fs::create_dir_all(project.path("data/raw/cifar10")).unwrap();
    fs::write(project.path("data/raw/cifar10/dataset.toml"), "").unwrap();
    let cifar = ok(&mut project.make(&["-n", "prep"]));
    assert!(cifar.stderr.contains("taking cifar10"), "{}", cifar.stderr);
}

#[test]
fn a_failure_leaves_no_stamp() {
    let project = Project::new("make-failure");
    let said = said_by_failing(&mut project.make(&[
        "train",
        "DATASET=pets",
        "FROM=/nonexistent",
    ]));
    assert!(said.contains("/nonexistent"), "{said}");
    assert!(!project.path("data/raw/pets/dataset.toml").exists());

    said_by_failing(&mut project.make(&[
        "train",
        "DATASET=mnist-5k",
        "DEVICE=cpu",
        "TRAIN_ARGS=--batch-size=5000",
    ]));
    // A batch larger than the training set is refused before there is a run folder.
    assert!(!project.path("runs/article-mnist-5k").exists());
    let fixed = ok(&mut project.make(&[&["train"], &ONE_EPOCH[..]].concat())).stdout;
    assert_eq!(stages(&fixed), ["train"]);
}

#[test]
fn a_recipe_that_changed_does_not_pass_for_the_one_that_was_trained() {
    let project = Project::new("make-recipe");
    let mut recipe =
        ok(crate::programs::program("train").args(["--print-recipe", "article"])).stdout;
    fs::write(project.path("mine.toml"), &recipe).unwrap();
    let arguments = [&["train", "RECIPE=mine.toml"], &ONE_EPOCH[..]].concat();
    ok(&mut project.make(&arguments));
    recipe.push_str("\n# better\n");
    fs::write(project.path("mine.toml"), &recipe).unwrap();
    let said = said_by_failing(&mut project.make(&arguments));
    assert!(said.contains("mine.toml") && said.contains("RUN="), "{said}");
}

#[test]
fn tensorboard_follows_the_runs_until_ctrl_c() {
    let project = Project::new("make-tensorboard");
    fs::create_dir_all(project.path(".venv/bin")).unwrap();
    fs::write(project.path(".venv/.installed"), "").unwrap();
    // Stands in for TensorBoard, which crates/scalars/tests starts for real: says its
    // arguments, and waits.
    let tensorboard = project.path(".venv/bin/tensorboard");
    fs::write(
        &tensorboard,
        "#!/bin/sh\necho \"$@\" >tensorboard-was-here\nexec sleep 600\n",
    )
    .unwrap();
    fs::set_permissions(&tensorboard, fs::Permissions::from_mode(0o755)).unwrap();
    // A group of its own, as on a terminal, where Ctrl-C goes to all of it.
    let mut make =
        project.make(&["tensorboard", "PORT=6123"]).process_group(0).spawn().unwrap();
    let wait_for = |what: &str, there: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !there() {
            assert!(started.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let said = project.path("tensorboard-was-here");
    wait_for("no TensorBoard", &|| {
        fs::read_to_string(&said).is_ok_and(|s| s.contains("--logdir runs --port 6123"))
    });
    // A run that begins later appears.
    fs::create_dir_all(project.path("runs/late")).unwrap();
    fs::write(
        project.path("runs/late/metrics.csv"),
        "wall_time,step,epoch,tag,value\n1,1,1,train loss,2\n",
    )
    .unwrap();
    wait_for("no events", &|| {
        names(project.path("runs/late")).iter().any(|n| n.contains("tfevents"))
    });

    let group = format!("-{}", make.id());
    ok(Command::new("kill").args(["-INT", "--", &group]));
    assert!(!make.wait().unwrap().success());
    let alive = || {
        Command::new("kill").args(["-0", "--", &group]).output().unwrap().status.success()
    };
    wait_for("a program is still running", &|| !alive());
}

/// What make said on standard error while it failed.
fn said_by_failing(make: &mut Command) -> String {
    let output = make.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{make:?}\n{}", said(&output).stderr);
    said(&output).stderr
}

/// Whether a path exists, be it a link to nothing.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
