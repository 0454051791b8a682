//! The Makefile, in a separate folder with the built programs. They look newly built to
//! make, so that nothing is compiled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use torchmill_testing::{
    PROGRAMS, Sandbox, names, ok, repository, said, stdout, write_pets,
};

/// The programs that make ran, in order, according to the commands that it printed.
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
    // It must list every target for users.
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
    let together = ok(&mut project.make(&["-n", "train", "DATASET=", "PROCESSES=2"]));
    let command = "scripts/processes 2 train ";
    assert!(together.stdout.contains(command), "{}", together.stdout);
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

    // With a saved checkpoint only the evaluation runs, whatever EPOCHS is.
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

    // More epochs continue the run; another seed is another run.
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
        said.stderr.contains("using mnist-5k") && said.stderr.contains("DATASET=cifar10"),
        "{}",
        said.stderr
    );
    // The choice is kept, ...
    let again = ok(&mut project.make(&["fetch"]));
    assert!(
        stages(&again.stdout).is_empty() && again.stderr.contains("using mnist-5k"),
        "{again:?}"
    );
    // ... and an explicit DATASET is never replaced by another.
    let strict = said_by_failing(&mut project.make(&["fetch", "DATASET=cifar10"]));
    assert!(strict.contains("fetch-data: "), "{strict}");
    assert!(!project.join("data/raw/cifar10/dataset.toml").exists());
    // Once CIFAR-10 has been fetched, it is the default.
    fs::create_dir_all(project.join("data/raw/cifar10")).unwrap();
    fs::write(project.join("data/raw/cifar10/dataset.toml"), "").unwrap();
    let cifar = ok(&mut project.make(&["-n", "prep"]));
    assert!(cifar.stderr.contains("using cifar10"), "{}", cifar.stderr);
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

/// A recipe file with the article's recipe and a comment.
fn write_recipe(project: &Sandbox, path: &str, comment: &str) {
    let print = &mut project.program("train");
    let recipe = ok(print.args(["--print-recipe", "article"])).stdout;
    project.write(path, format!("{recipe}\n# {comment}\n"));
}

#[test]
fn a_run_with_other_settings_is_refused_and_the_difference_named() {
    let project = Sandbox::project();
    write_recipe(&project, "a/mine.toml", "a");
    write_recipe(&project, "b/mine.toml", "b");
    let first = ["train", "DATASET=mnist-5k", "RECIPE=a/mine.toml", "EPOCHS=0"];
    let first = [&first[..], &["RUN=first", "DEVICE=cpu", "SEED=3"]].concat();
    ok(&mut project.make(&first));
    assert!(stages(&ok(&mut project.make(&first)).stdout).is_empty());

    fs::create_dir_all(project.join("data/raw/other")).unwrap();
    fs::write(project.join("data/raw/other/dataset.toml"), "").unwrap();
    for (other, named) in [
        ("RECIPE=b/mine.toml", "RECIPE="),
        ("RECIPE=lenet5", "RECIPE="),
        ("DATASET=other", "DATASET=mnist-5k, not other"),
        ("SEED=4", "SEED=3, not 4"),
        ("TRAIN_ARGS=--lr 0.5", "TRAIN_ARGS=(nothing), not --lr 0.5"),
        ("PREP_ARGS=--limit 100", "PREP_ARGS=(nothing), not --limit 100"),
        ("PRECISION=bf16", "PRECISION=(nothing), not bf16"),
    ] {
        let said = said_by_failing(&mut project.make(&[&first[..], &[other]].concat()));
        assert!(said.contains("runs/first was trained"), "{other}: {said}");
        assert!(said.contains(named) && said.contains("RUN="), "{other}: {said}");
    }
    // Settings that are not given come from the run.
    let same = ok(&mut project.make(&[&first[..6], &["SEED="]].concat()));
    assert!(stages(&same.stdout).is_empty(), "{}", same.stdout);
    // Other options continue a run that is not finished.
    let more = ["EPOCHS=1", "TRAIN_ARGS=--lr 0.02"];
    let more = ok(&mut project.make(&[&first[..], &more].concat()));
    assert_eq!(stages(&more.stdout), ["train"]);
    // The run now has --lr 0.02, so the first command is refused.
    let said = said_by_failing(&mut project.make(&[&first[..], &["EPOCHS=1"]].concat()));
    assert!(said.contains("TRAIN_ARGS=--lr 0.02, not"), "{said}");
    // evaluate refuses the shards of another recipe.
    let evaluate = ["evaluate", "DATASET=mnist-5k", "RUN=first"];
    let said = said_by_failing(&mut project.make(&evaluate));
    assert!(said.contains("not article"), "{said}");
}

#[test]
fn the_precision_is_a_runs_own() {
    let project = Sandbox::project();
    let train = |precision: &str| {
        let run = ["train", "DATASET=mnist-5k", "RUN=first", "EPOCHS=0", "DEVICE=cpu"];
        project.make(&[&run[..], &[&format!("PRECISION={precision}")]].concat())
    };
    assert_eq!(stages(&ok(&mut train("bf16")).stdout), ["fetch-data", "prep", "train"]);
    for same in ["bf16", ""] {
        assert!(stages(&ok(&mut train(same)).stdout).is_empty());
    }
    let said = said_by_failing(&mut train("fp32"));
    assert!(said.contains("with PRECISION=bf16, not fp32"), "{said}");
    // Without RUN, another precision is another run.
    let other = ["-n", "train", "DATASET=mnist-5k", "PRECISION=fp32"];
    let other = ok(&mut project.make(&other)).stdout;
    assert!(other.contains("--run runs/article-mnist-5k-fp32"), "{other}");
}

#[test]
fn a_run_that_is_out_of_time_is_not_done() {
    let project = Sandbox::project();
    let train = |time: &str| {
        let arguments = ["train", "DATASET=mnist-5k", "EPOCHS=1", "DEVICE=cpu"];
        let limit = format!("TRAIN_ARGS=--max-time {time}");
        ok(&mut project.make(&[&arguments[..], &[&limit]].concat())).stdout
    };
    let first = train("1ms");
    assert!(first.contains("the run is not done: make train goes on with it"), "{first}");
    let second = train("1h");
    assert_eq!(stages(&second), ["train"]);
    assert!(!second.contains("not done"), "{second}");
    assert!(stages(&train("1h")).is_empty());
}

#[test]
fn shards_that_were_made_with_other_settings_are_made_again() {
    let project = Sandbox::project();
    let prep = |arguments: &[&str]| {
        let goal = ["prep", "DATASET=mnist-5k"];
        ok(&mut project.make(&[&goal[..], arguments].concat())).stdout
    };
    assert_eq!(stages(&prep(&[])), ["fetch-data", "prep"]);
    assert!(stages(&prep(&[])).is_empty());
    let limited = prep(&["PREP_ARGS=--limit 100"]);
    assert_eq!(stages(&limited), ["prep"]);
    let names = names(project.join("data/shards/mnist-5k-article"));
    let shard = names.iter().find(|name| name.ends_with(".shard")).unwrap();
    let shard = format!("data/shards/mnist-5k-article/{shard}");
    let inspect = stdout(&project.run("prep", &["--inspect", &shard]));
    assert!(inspect.contains("100"), "{inspect}");
    assert!(stages(&prep(&["PREP_ARGS=--limit 100"])).is_empty());
    assert_eq!(stages(&prep(&[])), ["prep"]);

    write_recipe(&project, "a/mine.toml", "a");
    write_recipe(&project, "b/mine.toml", "b");
    assert_eq!(stages(&prep(&["RECIPE=a/mine.toml"])), ["prep"]);
    assert_eq!(stages(&prep(&["RECIPE=b/mine.toml"])), ["prep"]);
    assert!(stages(&prep(&["RECIPE=b/mine.toml"])).is_empty());
    write_recipe(&project, "b/mine.toml", "another");
    assert_eq!(stages(&prep(&["RECIPE=b/mine.toml"])), ["prep"]);
}

#[test]
fn a_data_set_from_another_source_is_refused() {
    let project = Sandbox::project();
    write_pets(project.path());
    let fetch =
        |from: &str| project.make(&["fetch", "DATASET=animals", &format!("FROM={from}")]);
    ok(&mut fetch("pets"));
    assert!(stages(&ok(&mut fetch("pets")).stdout).is_empty());
    let said = said_by_failing(&mut fetch("other"));
    assert!(said.contains("data/raw/animals was fetched"), "{said}");
    assert!(said.contains("FROM=pets, not other"), "{said}");
}

#[test]
fn values_are_passed_on_as_they_are_or_refused() {
    let project = Sandbox::project();
    let odd = "it's  $(touch pwned) `touch pwned` \"a\" #1";
    let said = said_by_failing(&mut project.make(&[
        "fetch",
        "DATASET=pets",
        &format!("FROM={odd}"),
    ]));
    assert!(said.contains(odd), "{said}");
    let dry = ok(&mut project.make(&[
        "-n",
        "prep",
        "DATASET=mnist-5k",
        "PREP_ARGS=--transform 'Resize(8) | ToTensor' $(touch pwned) ; touch pwned",
    ]));
    let prep = dry.stdout.lines().find(|line| line.starts_with("prep ")).unwrap();
    let words = r"--transform Resize\(8\)\ \|\ ToTensor \$\(touch pwned\) \; touch pwned";
    assert!(prep.trim_end().ends_with(words), "{prep}");
    for (value, why) in [
        ("RUN=a b", "a space cannot be in RUN"),
        ("RUN=../up", ".. cannot be in RUN"),
        ("DATASET=$(shell touch pwned)", "cannot be in DATASET"),
        ("RECIPE=it's.toml", "' cannot be in RECIPE"),
        ("RECIPE=$x", "$ cannot be in RECIPE"),
        ("TRAIN_ARGS=--run 'a", "a quote is not closed"),
        ("FROM=a\nb", "must not contain a line break"),
    ] {
        let said = said_by_failing(&mut project.make(&["-n", "train", value]));
        assert!(said.contains(why), "{value}: {said}");
    }
    assert!(!project.join("pwned").exists());
}

#[test]
fn a_recipe_that_changed_does_not_pass_for_the_one_that_was_trained() {
    let project = Sandbox::project();
    write_recipe(&project, "mine.toml", "good");
    let arguments = [&["train", "RECIPE=mine.toml"], &ONE_EPOCH[..]].concat();
    ok(&mut project.make(&arguments));
    write_recipe(&project, "mine.toml", "better");
    let said = said_by_failing(&mut project.make(&arguments));
    assert!(said.contains("mine.toml") && said.contains("RUN="), "{said}");
}

#[test]
fn tensorboard_follows_the_runs_until_ctrl_c() {
    let project = Sandbox::project();
    fs::create_dir_all(project.join(".venv/bin")).unwrap();
    fs::write(project.join(".venv/.installed"), "").unwrap();
    // A stand-in for TensorBoard, which prints its arguments and waits.
    // crates/scalars/tests runs the real one.
    let tensorboard = project.join(".venv/bin/tensorboard");
    fs::write(
        &tensorboard,
        "#!/bin/sh\necho \"$@\" >tensorboard-was-here\nexec sleep 600\n",
    )
    .unwrap();
    fs::set_permissions(&tensorboard, fs::Permissions::from_mode(0o755)).unwrap();
    // Its own process group, as on a terminal, where Ctrl-C goes to the whole group.
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

/// The standard error of a make that must fail.
fn said_by_failing(make: &mut Command) -> String {
    let output = make.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{make:?}\n{}", said(&output).stderr);
    said(&output).stderr
}

#[test]
fn finetune_fetches_its_weights() {
    let project = Sandbox::project();
    let dry = |arguments: &[&str]| {
        let arguments = [&["-n", "train", "DATASET=pets"], arguments].concat();
        ok(&mut project.make(&arguments)).stdout
    };
    assert!(dry(&["RECIPE=finetune"]).contains("fetch-data resnet18"));
    let own = dry(&["RECIPE=finetune", "TRAIN_ARGS=--init mine.pth"]);
    assert!(!own.contains("fetch-data resnet18"), "{own}");
    assert!(!dry(&["RECIPE=article"]).contains("resnet18"));
}
