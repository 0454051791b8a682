//! The Makefile, in a folder of its own that borrows the built programs: make believes
//! them just built, so that nothing is compiled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use torchmill_testing::{PROGRAMS, Sandbox, names, ok, repository, said};

/// Which programs make ran, in order, by the commands that it printed.
fn stages(output: &str) -> Vec<&str> {
    let first_words = output.lines().filter_map(|line| line.split(' ').next());
    first_words.filter(|word| PROGRAMS.contains(word) || *word == "cargo").collect()
}

const ONE_EPOCH: [&str; 3] = ["DATASET=mnist-5k", "EPOCHS=1", "DEVICE=cpu"];

#[test]
fn make_alone_prints_targets_and_variables() {
    let help = ok(&mut Sandbox::project().make(&[])).stdout;
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
    let project = Sandbox::project();
    for arguments in [["-n", "train", "DATASET=cifar10"], ["-n", "train", "DATASET="]] {
        let said = ok(&mut project.make(&arguments));
        assert_eq!(
            stages(&said.stdout),
            ["fetch-data", "prep", "train"],
            "{}",
            said.stdout
        );
    }
    assert!(!project.join("data").exists() && !project.join("runs").exists());
}

#[test]
fn what_is_done_is_not_done_again() {
    let project = Sandbox::project();
    let make =
        |goals: &[&str]| ok(&mut project.make(&[goals, &ONE_EPOCH].concat())).stdout;

    assert_eq!(
        stages(&make(&["-j2", "train", "evaluate", "scalars"])),
        ["fetch-data", "prep", "train", "evaluate", "scalars"]
    );
    let run = project.join("runs/article-mnist-5k");
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
    let project = Sandbox::project();
    let said = ok(&mut project.make(&["fetch"]));
    assert!(project.join("data/raw/mnist-5k/dataset.toml").exists());
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
    assert!(!project.join("data/raw/cifar10/dataset.toml").exists());
    // CIFAR-10, once it is there, comes first.
    fs::create_dir_all(project.join("data/raw/cifar10")).unwrap();
    fs::write(project.join("data/raw/cifar10/dataset.toml"), "").unwrap();
    let cifar = ok(&mut project.make(&["-n", "prep"]));
    assert!(cifar.stderr.contains("taking cifar10"), "{}", cifar.stderr);
}

#[test]
fn a_failure_leaves_no_stamp() {
    let project = Sandbox::project();
    let said = said_by_failing(&mut project.make(&[
        "train",
        "DATASET=pets",
        "FROM=/nonexistent",
    ]));
    assert!(said.contains("/nonexistent"), "{said}");
    assert!(!project.join("data/raw/pets/dataset.toml").exists());

    said_by_failing(&mut project.make(&[
        "train",
        "DATASET=mnist-5k",
        "DEVICE=cpu",
        "TRAIN_ARGS=--batch-size=5000",
    ]));
    // A batch larger than the training set is refused before there is a run folder.
    assert!(!project.join("runs/article-mnist-5k").exists());
    let fixed = ok(&mut project.make(&[&["train"], &ONE_EPOCH[..]].concat())).stdout;
    assert_eq!(stages(&fixed), ["train"]);
}

#[test]
fn a_recipe_that_changed_does_not_pass_for_the_one_that_was_trained() {
    let project = Sandbox::project();
    let mut recipe =
        ok(project.program("train").args(["--print-recipe", "article"])).stdout;
    fs::write(project.join("mine.toml"), &recipe).unwrap();
    let arguments = [&["train", "RECIPE=mine.toml"], &ONE_EPOCH[..]].concat();
    ok(&mut project.make(&arguments));
    recipe.push_str("\n# better\n");
    fs::write(project.join("mine.toml"), &recipe).unwrap();
    let said = said_by_failing(&mut project.make(&arguments));
    assert!(said.contains("mine.toml") && said.contains("RUN="), "{said}");
}

#[test]
fn tensorboard_follows_the_runs_until_ctrl_c() {
    let project = Sandbox::project();
    fs::create_dir_all(project.join(".venv/bin")).unwrap();
    fs::write(project.join(".venv/.installed"), "").unwrap();
    // Stands in for TensorBoard, which crates/scalars/tests starts for real: says its
    // arguments, and waits.
    let tensorboard = project.join(".venv/bin/tensorboard");
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
    let said = project.join("tensorboard-was-here");
    wait_for("no TensorBoard", &|| {
        fs::read_to_string(&said).is_ok_and(|s| s.contains("--logdir runs --port 6123"))
    });
    // A run that begins later appears.
    fs::create_dir_all(project.join("runs/late")).unwrap();
    fs::write(
        project.join("runs/late/metrics.csv"),
        "wall_time,step,epoch,tag,value\n1,1,1,train loss,2\n",
    )
    .unwrap();
    wait_for("no events", &|| {
        names(project.join("runs/late")).iter().any(|n| n.contains("tfevents"))
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
