//! `--resume` on copied runs, and with settings that are new to the run.

use std::fs;
use std::path::Path;

use torchmill_testing::{assert_done, assert_fails, device, program, stderr};

use crate::{
    RECIPE, assert_same_run, checkpoint, go_on, metrics, names, sandbox, target, train,
};

/// Copies a run with files in place of its links, or without the links, as `cp -L` and
/// other tools do.
fn copy_run(folder: &Path, from: &str, to: &str, links: Links) {
    let checkpoints = folder.join(to).join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    for name in ["config.toml", "metrics.csv"] {
        fs::copy(folder.join(from).join(name), folder.join(to).join(name)).unwrap();
    }
    for entry in fs::read_dir(folder.join(from).join("checkpoints")).unwrap() {
        let entry = entry.unwrap();
        if links == Links::Followed || !entry.file_type().unwrap().is_symlink() {
            fs::copy(entry.path(), checkpoints.join(entry.file_name())).unwrap();
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Links {
    Followed,
    LeftOut,
}

#[test]
fn a_copied_run_goes_on_without_its_links() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "whole", &[]));
    assert_done(&train(folder, "short", &["--epochs", "2"]));
    for (run, links) in [("followed", Links::Followed), ("left-out", Links::LeftOut)] {
        copy_run(folder, "short", run, links);
        let output = go_on(folder, run, &[]);
        assert_done(&output);
        let note = format!(
            "going on from the newest complete checkpoint, {run}/checkpoints/epoch-0002.safetensors\n"
        );
        assert!(stderr(&output).contains(&note), "{}", stderr(&output));
        for link in ["last.safetensors", "best.safetensors"] {
            assert_eq!(target(folder, run, link), target(folder, "short", link));
        }
        assert_done(&go_on(folder, run, &["--epochs", "3"]));
        assert_same_run(folder, "whole", run);
    }
    // A checkpoint in the middle of an epoch is newer than the epoch's before it. A
    // damaged one is ignored.
    assert_done(&train(folder, "steps", &["--steps", "30"]));
    copy_run(folder, "steps", "again", Links::LeftOut);
    copy_run(folder, "steps", "damaged", Links::LeftOut);
    let step = checkpoint(folder, "damaged", "step-00000030.safetensors");
    let half = fs::read(&step).unwrap();
    fs::write(&step, &half[..half.len() / 2]).unwrap();
    for (run, from) in [("again", "step-00000030"), ("damaged", "epoch-0001")] {
        let output = go_on(folder, run, &["--epochs", "3"]);
        assert_done(&output);
        assert!(
            stderr(&output).contains(&format!("{from}.safetensors\n")),
            "{}",
            stderr(&output)
        );
        assert_same_run(folder, "whole", run);
    }
}

#[test]
fn a_run_that_has_lost_its_checkpoints_does_not_begin_again() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--epochs", "2"]));
    let metrics = fs::read(folder.join("run/metrics.csv")).unwrap();
    let why = "run has been trained, but it has no complete checkpoint";
    for name in names(folder, "run", "").iter().filter(|name| name.ends_with("state")) {
        fs::remove_file(checkpoint(folder, "run", name)).unwrap();
    }
    fs::remove_file(checkpoint(folder, "run", "last.safetensors")).unwrap();
    assert_fails(&go_on(folder, "run", &[]), 1, why);
    fs::remove_dir_all(folder.join("run/checkpoints")).unwrap();
    assert_fails(&go_on(folder, "run", &[]), 1, why);
    assert_eq!(fs::read(folder.join("run/metrics.csv")).unwrap(), metrics);
}

#[test]
fn links_and_folders_name_the_checkpoint_to_go_on_from() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "whole", &[]));
    assert_done(&train(folder, "short", &["--epochs", "2"]));
    let resume =
        |from: &str, run: &str| go_on(folder, run, &["--resume", from, "--epochs", "3"]);
    for (i, from) in ["short", "short/checkpoints", "short/checkpoints/last.safetensors"]
        .iter()
        .enumerate()
    {
        let run = format!("branch-{i}");
        assert_done(&resume(from, &run));
        assert_same_run(folder, "whole", &run);
    }
    copy_run(folder, "short", "copy", Links::Followed);
    assert_done(&resume("copy/checkpoints/last.safetensors", "branch-3"));
    assert_same_run(folder, "whole", "branch-3");
    assert_fails(
        &resume("copy/checkpoints/gone.safetensors", "new"),
        1,
        "gone.safetensors: no such file",
    );
    assert_fails(&resume("shards", "new"), 1, "there is no config.toml in shards");
    assert!(!folder.join("new").exists());
    // Without --run, the run continues in its own folder.
    let itself =
        ["--resume", "short", "--epochs", "3", "--threads", "1", "--device", &device()];
    let output = program("train").current_dir(folder).args(itself).output().unwrap();
    assert_done(&output);
    assert_same_run(folder, "whole", "short");
}

#[test]
fn another_optimizers_buffers_are_refused() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--epochs", "1"]));
    let config = fs::read(folder.join("run/config.toml")).unwrap();
    let adam =
        ["--set", "train.optimizer.type=Adam", "--set", "train.optimizer.lr=0.001"];
    for (change, why) in [
        (
            &adam[..],
            "saved by SGD with momentum_buffer, which Adam with exp_avg, exp_avg_sq \
             cannot go on from: leave train.optimizer.type",
        ),
        (
            &["--set", "train.optimizer.type=RMSprop"],
            "leave train.optimizer.type as it is",
        ),
        (
            &["--set", "train.optimizer.momentum=0"],
            "which SGD with no buffers cannot go on from: leave train.optimizer.momentum",
        ),
    ] {
        let output = go_on(folder, "run", &[&["--epochs", "2"], change].concat());
        assert_fails(&output, 2, why);
        assert!(
            stderr(&output).contains("run/checkpoints/epoch-0001.state: was saved"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(fs::read(folder.join("run/config.toml")).unwrap(), config);
    assert_done(&go_on(
        folder,
        "run",
        &["--epochs", "2", "--set", "train.optimizer.nesterov=true"],
    ));
}

#[test]
fn groups_with_an_optimizer_of_their_own_go_on() {
    let folder = sandbox();
    let folder = folder.path();
    let muon = "train.optimizer={ type=\"Muon\", lr=0.02, flatten=true }";
    let group = |sgd: &str| {
        format!("train.group=[{{ pattern=\"*bias\", optimizer={{ {sgd} }} }}]")
    };
    let with_momentum = group("type=\"SGD\", lr=0.1, momentum=0.9");
    let schedule = "train.schedule={ type=\"LinearLR\", total_iters=20 }";
    let settings = ["--set", muon, "--set", &with_momentum, "--set", schedule];
    assert_done(&train(folder, "whole", &settings));
    assert_done(&train(folder, "parts", &[&["--epochs", "1"], &settings[..]].concat()));
    let plain = group("type=\"SGD\", lr=0.1");
    let output = go_on(folder, "parts", &["--epochs", "3", "--set", &plain]);
    assert_fails(
        &output,
        2,
        "leave optimizer.momentum of [[train.group]] *bias as it is",
    );
    assert_done(&go_on(folder, "parts", &["--epochs", "3"]));
    assert_same_run(folder, "whole", "parts");
    let output = train(folder, "biases", &["--set", muon]);
    assert_fails(&output, 2, "net.0.bias [4]: Muon trains only matrices");
}

#[test]
fn averages_and_plateaus_may_come_and_go() {
    let folder = sandbox();
    let folder = folder.path();
    let plateau = "train.schedule={ type=\"ReduceLROnPlateau\", patience=0, threshold=10.0, threshold_mode=\"abs\" }";
    let ema = "train.ema={ decay=0.5 }";
    let bytes = |run: &str, name: &str| fs::read(checkpoint(folder, run, name)).unwrap();
    assert_done(&train(
        folder,
        "with",
        &["--epochs", "1", "--set", ema, "--set", plateau],
    ));
    assert_done(&train(folder, "without", &["--epochs", "1"]));
    // The trained weights are the same, but in `with` the average is saved.
    assert!(bytes("with", "last.safetensors") != bytes("without", "last.safetensors"));
    let plain = fs::read_to_string(folder.join("without/config.toml")).unwrap();
    fs::write(folder.join("with/config.toml"), plain).unwrap();
    for run in ["with", "without"] {
        assert_done(&go_on(folder, run, &["--epochs", "2"]));
    }
    assert!(bytes("with", "last.safetensors") == bytes("without", "last.safetensors"));
    assert_done(&go_on(
        folder,
        "with",
        &["--epochs", "4", "--set", ema, "--set", plateau],
    ));
    assert_done(&go_on(folder, "without", &["--epochs", "4"]));
    assert!(bytes("with", "last.safetensors") != bytes("without", "last.safetensors"));
    // The first evaluation without improvement has lowered the rate. --lr scales the
    // current rate.
    let rates = |run: &str| -> Vec<f64> {
        metrics(folder, run)
            .iter()
            .filter(|m| m.0 == "x/learning rate")
            .map(|m| m.2)
            .collect()
    };
    assert_eq!(rates("with")[..4], [0.1, 0.1, 0.1, 0.1]);
    assert_done(&go_on(folder, "with", &["--epochs", "5", "--lr", "0.2"]));
    assert!((rates("with")[4] - 0.02).abs() < 1e-9, "{:?}", rates("with"));
}

#[test]
fn lr_is_one_cycles_largest() {
    let folder = sandbox();
    let folder = folder.path();
    let one_cycle = "train.schedule={ type=\"OneCycleLR\", max_lr=0.5, pct_start=0.5 }";
    assert_done(&train(
        folder,
        "run",
        &["--set", one_cycle, "--lr", "0.01", "--epochs", "2"],
    ));
    let rates = metrics(folder, "run")
        .into_iter()
        .filter(|m| m.0 == "x/learning rate")
        .map(|m| m.2);
    let highest = rates.fold(0.0, f64::max);
    assert!(highest > 0.009 && highest <= 0.01, "{highest}");
}

#[test]
fn best_by_another_metric_is_among_what_is_there_and_loses_nothing() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--epochs", "4", "--keep", "1"]));
    let before = target(folder, "run", "best.safetensors");
    assert_ne!(
        before, "epoch-0004.safetensors",
        "the accuracy is reached before the lowest loss"
    );
    let by_loss = ["--set", "checkpoints.best=test loss"];
    let output = go_on(folder, "run", &[&["--epochs", "5"], &by_loss[..]].concat());
    assert_done(&output);
    let note = "the best by test accuracy stays, as best-test-accuracy.safetensors";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    assert_eq!(target(folder, "run", "best-test-accuracy.safetensors"), before);
    for (run, name) in
        [("run", "best-test-accuracy.safetensors"), ("run", "best.safetensors")]
    {
        assert!(checkpoint(folder, run, name).exists(), "{name}");
    }
    // The best by this metric has been deleted. The best of the others counts, and the
    // next may be better.
    let output = go_on(
        folder,
        "run",
        &["--epochs", "6", "--set", "checkpoints.best=test mean loss"],
    );
    assert_done(&output);
    assert!(checkpoint(folder, "run", "best.safetensors").exists());
    assert!(checkpoint(folder, "run", "best-test-accuracy.safetensors").exists());
}

#[test]
fn a_recipe_beside_resume_is_the_runs_own() {
    let folder = sandbox();
    let folder = folder.path();
    let start = ["--lr", "0.05", "--set", "train.optimizer.momentum=0.5", "--resume"];
    assert_done(&train(folder, "run", &[&start[..], &["--epochs", "1"]].concat()));
    assert_done(&train(folder, "run", &[&start[..], &["--epochs", "2"]].concat()));
    let why = "recipe.toml is not what this run goes on with: train.optimizer.lr is 0.1 in it, 0.05 in run/config.toml";
    let without = ["--resume", "--epochs", "3", "--set", "train.optimizer.momentum=0.5"];
    assert_fails(&train(folder, "run", &without), 2, why);
    fs::write(
        folder.join("recipe.toml"),
        RECIPE.replace("out_channels = 4", "out_channels = 5"),
    )
    .unwrap();
    let other = train(folder, "run", &[&start[..], &["--epochs", "3"]].concat());
    assert_fails(
        &other,
        2,
        "model.layer is another in it, another in run/config.toml; leave --recipe out",
    );
    assert_done(&go_on(folder, "run", &["--epochs", "3"]));
}

#[test]
fn what_cannot_go_on_changes_nothing() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--steps", "30"]));
    let path = folder.join("run/metrics.csv");
    let rows = fs::read(&path).unwrap();
    fs::write(&path, &rows[..rows.len() / 2]).unwrap();
    let config = fs::read(folder.join("run/config.toml")).unwrap();
    let all = names(folder, "run", "");
    let why = "put the whole file back, or start a new --run with --init";
    assert_fails(&go_on(folder, "run", &["--epochs", "3"]), 1, why);
    assert_fails(&go_on(folder, "branch", &["--resume", "run", "--epochs", "3"]), 1, why);
    fs::remove_file(&path).unwrap();
    assert_fails(&go_on(folder, "run", &["--epochs", "3"]), 1, why);
    assert!(!folder.join("branch").exists());
    assert_eq!(fs::read(folder.join("run/config.toml")).unwrap(), config);
    assert_eq!(names(folder, "run", ""), all);
}

#[test]
fn less_than_has_been_done_is_not_written_down() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &[]));
    let config = fs::read(folder.join("run/config.toml")).unwrap();
    let output = go_on(folder, "run", &["--epochs", "1"]);
    assert_done(&output);
    let why = "1 epoch requested, 3 done already: nothing to do";
    assert!(stderr(&output).contains(why), "{}", stderr(&output));
    assert_eq!(fs::read(folder.join("run/config.toml")).unwrap(), config);
}

#[test]
fn a_branch_killed_before_its_first_checkpoint_goes_on_from_its_branch_point() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "first", &["--epochs", "2"]));
    for (point, epochs) in [("epoch-0001", "2"), ("epoch-0002", "3")] {
        let from = checkpoint(folder, "first", &format!("{point}.safetensors"));
        let from = from.to_str().unwrap();
        let branch = ["--resume", from, "--epochs", epochs, "--lr", "0.01"];
        let run = |run: &str, options: &[&str]| {
            let name = format!("{run}-{point}");
            assert_done(&go_on(folder, &name, options));
            fs::read(checkpoint(folder, &name, "last.safetensors")).unwrap()
        };
        let whole = run("whole", &branch);
        for (name, again) in [("same", &branch[..]), ("plain", &["--resume"])] {
            run(name, &branch);
            // A killed run leaves the recipe and some rows, but no checkpoint.
            let folder = folder.join(format!("{name}-{point}"));
            fs::remove_dir_all(folder.join("checkpoints")).unwrap();
            assert!(run(name, again) == whole, "{name} {point}");
        }
    }
    // With its own checkpoints, it is a run like any other.
    let from = "first/checkpoints/epoch-0001.safetensors";
    let again = go_on(folder, "same-epoch-0001", &["--resume", from, "--epochs", "3"]);
    assert_fails(&again, 2, "already holds a run");
    assert_done(&go_on(folder, "same-epoch-0001", &["--epochs", "3"]));
}

#[test]
fn changed_settings_keep_their_history() {
    let folder = sandbox();
    let folder = folder.path();
    let config =
        |run: &str| fs::read_to_string(folder.join(run).join("config.toml")).unwrap();
    assert_done(&train(folder, "run", &["--epochs", "2"]));
    assert!(!config("run").contains("run.earlier"), "{}", config("run"));
    assert_done(&go_on(folder, "run", &["--epochs", "3", "--lr", "0.01"]));
    let history = "[[run.earlier]]\nkey = \"train.optimizer.lr\"\nvalue = \"0.1\"\nuntil_epoch = 2\n";
    assert!(config("run").contains(history), "{}", config("run"));
    assert_eq!(config("run").matches("run.earlier").count(), 1);
    let settings = torchmill::recipe::settings(&config("run")).unwrap();
    let lr = settings["train.optimizer.lr"].to_string();
    assert_eq!(lr, "0.1 until epoch 2, then 0.01");
    // A new run's recipe has no history.
    let again = ["--config", "run/config.toml", "--threads", "1", "--device", &device()];
    let again = [&again[..], &["--run", "again", "--epochs", "1"]].concat();
    let output = program("train").current_dir(folder).args(again).output().unwrap();
    assert_done(&output);
    assert!(!config("again").contains("run.earlier"), "{}", config("again"));
    assert!(config("again").contains("classes = ["), "{}", config("again"));
}
