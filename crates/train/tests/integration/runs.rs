//! Runs from start to finish.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use torchmill::metric::{self, METRICS};
use torchmill::shard::file_name;
use torchmill_testing::{
    assert_done, assert_fails, device, program, stderr, stdout, write_stripes,
    write_stripes_for,
};

use crate::{
    RECIPE, assert_same_run, checkpoint, command, go_on, metrics, names, sandbox, target,
    train,
};

#[test]
fn a_run_learns_and_leaves_everything_behind() {
    let folder = sandbox();
    let folder = folder.path();
    let output = train(folder, "run", &[]);
    assert_done(&output);
    assert_eq!(stdout(&output), "run/checkpoints/epoch-0003.safetensors\n");
    let log = stderr(&output);
    assert!(log.starts_with("train set size: 200\ntest set size: 60\n"), "{log}");
    assert!(
        log.contains("----- start training epoch 3 -----\n")
            && log.contains("total loss in test set: "),
        "{log}"
    );
    let metrics = metrics(folder, "run");
    let steps: Vec<u64> =
        metrics.iter().filter(|m| m.0 == "train loss").map(|m| m.1).collect();
    assert_eq!(steps, (1..=75).collect::<Vec<_>>());
    let accuracy: Vec<f64> =
        metrics.iter().filter(|m| m.0 == "test accuracy").map(|m| m.2).collect();
    assert_eq!(accuracy.len(), 3);
    assert!(accuracy[2] > 0.9, "{accuracy:?}");
    for name in [
        "epoch-0001.safetensors",
        "epoch-0003.state",
        "last.safetensors",
        "best.safetensors",
    ] {
        assert!(checkpoint(folder, "run", name).exists(), "{name}");
    }
}

#[test]
fn config_toml_repeats_the_run() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "first", &["--lr", "0.05", "--seed", "3"]));
    let again = [
        "--config",
        "first/config.toml",
        "--run",
        "second",
        "--threads",
        "1",
        "--device",
        &device(),
    ];
    let output = program("train").current_dir(folder).args(again).output().unwrap();
    assert_done(&output);
    assert_same_run(folder, "first", "second");
    assert_done(&train(folder, "other", &["--lr", "0.05", "--seed", "4"]));
    assert_ne!(metrics(folder, "first"), metrics(folder, "other"));
}

/// Starts the same command line again and again, and kills it later each time, until it
/// gets to the end.
fn kill_and_resume(folder: &Path, run: &str, options: &[&str]) -> usize {
    let options = [&["--resume"], options].concat();
    let (mut kills, mut pause) = (0, 40);
    while pause < 8000 {
        let mut child = command(folder, run, &options).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        if child.try_wait().unwrap().is_some() {
            assert_done(&child.wait_with_output().unwrap());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // Before training starts, kill it less often.
        pause +=
            if checkpoint(folder, run, "last.safetensors").exists() { 7 } else { 45 };
    }
    kills
}

#[test]
fn a_run_killed_at_any_moment_and_resumed_ends_as_one_never_interrupted() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "whole", &[]));
    assert!(kill_and_resume(folder, "killed", &["--save-every", "2"]) > 0);
    assert_same_run(folder, "whole", "killed");
    let left = std::fs::read_dir(folder.join("killed/checkpoints")).unwrap();
    let names = left.map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(
        names.into_iter().all(|n| !n.starts_with("step-") && !n.starts_with(".partial"))
    );
}

#[test]
fn a_run_that_ends_between_its_last_step_and_its_last_checkpoint_goes_on_to_it() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "whole", &[]));
    for (run, options) in [
        ("epochs", ["--save-every", "3"].as_slice()),
        ("steps", &["--save-every", "3", "--steps", "75"]),
    ] {
        // A folder in the place of the last checkpoint makes the run fail after step 75
        // was saved.
        let last = checkpoint(folder, run, "epoch-0003.safetensors");
        std::fs::create_dir_all(last.join("in-the-way")).unwrap();
        let options = [&["--resume"], options].concat();
        assert_fails(&train(folder, run, &options), 1, "epoch-0003.safetensors");
        assert!(checkpoint(folder, run, "step-00000075.safetensors").exists());
        std::fs::remove_dir_all(&last).unwrap();
        assert_done(&train(folder, run, &options));
        assert_same_run(folder, "whole", run);
    }
}

/// All features that have a state to save or use random numbers, at once.
const FULL: &str = r#"
epochs = 3
batch_size = 8
accumulate = 3
clip_grad_norm = 1.0
mixup = 0.2
cutmix = 1.0
no_decay = ["bias"]
warmup = { steps = 9, start_factor = 0.1 }
ema = { decay = 0.9 }
loss = { type = "BCEWithLogitsLoss", pos_weight = [1.0, 2.0, 0.5] }
schedule = { type = "ReduceLROnPlateau", patience = 0, threshold = 10.0, threshold_mode = "abs" }
[[train.group]]
pattern = "net.5.*"
lr = 0.02
[train.optimizer]
type = "AdamW"
lr = 0.01
amsgrad = true
"#;

/// The network of [`RECIPE`] after batch norm and stochastic depth, trained with
/// [`FULL`].
pub fn full_recipe() -> String {
    const BLOCK: &str = r#"[[model.layer]]
type = "Residual"
name = "block"
layer = [
    { type = "Conv2d", out_channels = 1, kernel_size = 3, padding = 1 },
    { type = "BatchNorm2d" },
    { type = "StochasticDepth", p = 0.3 },
]
"#;
    let network = RECIPE.split("epochs = 3").next().unwrap();
    network.replacen("[[model.layer]]", &format!("{BLOCK}[[model.layer]]"), 1) + FULL
}

#[test]
fn no_state_of_the_step_shows_a_trace_of_being_killed() {
    let folder = sandbox();
    let folder = folder.path();
    std::fs::write(folder.join("recipe.toml"), full_recipe()).unwrap();
    assert_done(&train(folder, "whole", &[]));
    assert!(kill_and_resume(folder, "killed", &["--save-every", "2"]) > 0);
    assert_same_run(folder, "whole", "killed");
    // If a run is slower to start than to train, all kills may come before it trains.
    assert_done(&train(folder, "stopped", &["--steps", "37"]));
    assert_done(&train(folder, "stopped", &["--resume", "--epochs", "3"]));
    assert_same_run(folder, "whole", "stopped");
}

#[test]
fn every_state_of_the_step_is_taken_up_again() {
    let folder = sandbox();
    let folder = folder.path();
    std::fs::write(folder.join("recipe.toml"), full_recipe()).unwrap();
    assert_done(&train(folder, "whole", &[]));
    let rates = metrics(folder, "whole").into_iter().filter(|m| m.0 == "x/learning rate");
    let rates: Vec<f64> = rates.map(|m| m.2).collect();
    assert!(rates[2] < rates[0], "the plateau was never reached: {rates:?}");
    // Stopped after the second epoch, whose checkpoint holds the average, and resumed.
    assert_done(&train(folder, "again", &["--epochs", "2"]));
    assert_done(&train(folder, "again", &["--resume", "--epochs", "3"]));
    assert_same_run(folder, "whole", "again");
    // The evaluated weights are the saved ones.
    let without = std::fs::read_to_string(folder.join("recipe.toml"))
        .unwrap()
        .replace("ema = ", "#");
    std::fs::write(folder.join("recipe.toml"), without).unwrap();
    assert_done(&train(folder, "without", &[]));
    let losses = |run| {
        metrics(folder, run)
            .into_iter()
            .filter(|m| m.0 == "train loss")
            .collect::<Vec<_>>()
    };
    assert_ne!(
        std::fs::read(checkpoint(folder, "whole", "last.safetensors")).unwrap(),
        std::fs::read(checkpoint(folder, "without", "last.safetensors")).unwrap()
    );
    // The average does not affect the training itself, except through the plateau, which
    // evaluates the average.
    assert_eq!(losses("whole")[..25], losses("without")[..25]);
}

#[test]
fn ctrl_c_saves_and_the_run_goes_on() {
    let folder = sandbox();
    let folder = folder.path();
    // Long enough to be interrupted midway on any machine.
    let epochs = ["--epochs", "2000"];
    let child = command(folder, "run", &epochs).spawn().unwrap();
    let started = folder.join("run/checkpoints/epoch-0001.safetensors");
    while !started.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_fails(&output, 130, "go on with: train --run run --resume");
    let last = std::fs::read_link(checkpoint(folder, "run", "last.safetensors")).unwrap();
    let done: usize =
        metrics(folder, "run").iter().filter(|m| m.0 == "test accuracy").count();
    assert!(done < 2000, "{last:?}");
    let output = train(folder, "run", &["--resume", "--epochs", &(done + 2).to_string()]);
    assert_done(&output);
    assert!(
        stderr(&output).contains("going on from run/checkpoints/"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_finished_run_goes_on_to_more_epochs_in_its_own_folder_or_another() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "whole", &[]));
    assert_done(&train(folder, "short", &["--epochs", "2"]));
    let from = checkpoint(folder, "short", "epoch-0001.safetensors");
    assert_done(&train(
        folder,
        "branch",
        &["--resume", from.to_str().unwrap(), "--epochs", "3"],
    ));
    assert_same_run(folder, "whole", "branch");
    assert_done(&train(folder, "short", &["--resume", "--epochs", "3"]));
    let earlier =
        train(folder, "short", &["--resume", from.to_str().unwrap(), "--epochs", "3"]);
    assert_fails(&earlier, 2, "is not its run's last checkpoint: give a new --run");
    assert_same_run(folder, "whole", "short");
}

#[test]
fn misuse_is_told_in_one_line_and_writes_nothing() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--epochs", "1"]));
    assert_fails(
        &train(folder, "run", &[]),
        2,
        "run already holds a run: give another --run, or go on",
    );
    assert_fails(
        &train(folder, "new", &["--batch-size", "500"]),
        2,
        "200 training images make no batch of 500",
    );
    assert_fails(&train(folder, "nan", &["--lr", "1e30"]), 1, "at step ");
    let recipe = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).unwrap();
        train(folder, "new2", &["--recipe", name])
    };
    // clap uses the last of two, so the recipe can be given again.
    assert_fails(
        &recipe("key.toml", RECIPE.replace("epochs", "epoch")),
        2,
        "line 19: unknown field `epoch`",
    );
    assert_fails(
        &recipe("layer.toml", RECIPE.replace("Conv2d", "Conv2D")),
        2,
        "no layer is called `Conv2D` (did you mean Conv2d?)",
    );
    let misfit = RECIPE.replace("kernel_size = 3", "kernel_size = 9");
    assert_fails(
        &recipe("size.toml", misfit),
        2,
        "layer net.0 (Conv2d), which gets [1, 8, 8]",
    );
    let misfit =
        RECIPE.replace("type = \"Linear\"", "type = \"Linear\"\nin_features = 7");
    assert_fails(
        &recipe("features.toml", misfit),
        2,
        "in_features is 7, but it gets 144",
    );
    assert_fails(
        &train(folder, "new2", &["--recipe", "missing.toml"]),
        1,
        "cannot read missing.toml",
    );
    assert_fails(
        &train(folder, "new2", &["--data", "nowhere"]),
        1,
        "nowhere: no such file or folder",
    );
    // Without a GPU, "CUDA is not available"; with one, "there is one GPU".
    assert_fails(
        &train(folder, "new2", &["--device", "cuda:99"]),
        1,
        "--device cuda:99: ",
    );
    let output = train(folder, "new2", &["--device", "tpu"]);
    assert!(
        output.status.code() == Some(2)
            && stderr(&output).contains("not one of auto, cpu, cuda"),
        "{output:?}"
    );
    assert!(!folder.join("new2").exists());
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--epochs", "1"]));
    let last = checkpoint(folder, "run", "epoch-0001.safetensors");
    let other = RECIPE.replace("out_channels = 4", "out_channels = 5");
    std::fs::write(folder.join("other.toml"), other).unwrap();
    let init = ["--recipe", "other.toml", "--init", last.to_str().unwrap()];
    assert_fails(
        &train(folder, "init", &init),
        1,
        "the weights are another network's: 2 of another shape (net.0.weight is [4, 1, \
         3, 3]",
    );

    let shard = folder.join("shards").join(file_name("train", 0, 1));
    let whole = std::fs::read(&shard).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&shard, flipped).unwrap();
    assert_fails(&train(folder, "flipped", &[]), 1, "the checksum of `image`");
    std::fs::write(&shard, &whole[..middle]).unwrap();
    assert_fails(&train(folder, "short", &[]), 1, "is truncated");
    write_stripes(&folder.join("shards"), "train", 200, "another");
    assert_fails(&go_on(folder, "run", &[]), 1, "was trained on other shards");

    std::fs::write(&shard, &whole).unwrap();
    let state = last.with_extension("state");
    let mut damaged = std::fs::read(&state).unwrap();
    damaged[40] ^= 1;
    std::fs::write(&state, damaged).unwrap();
    assert_fails(
        &go_on(folder, "run", &[]),
        1,
        "epoch-0001.state: its checksum is wrong",
    );
}

#[test]
fn every_option_of_the_loop_leaves_no_trace_of_being_killed() {
    let folder = sandbox();
    let folder = folder.path();
    let options = [
        "--save-every",
        "3",
        "--val-fraction",
        "0.2",
        "--eval-every",
        "2",
        "--keep",
        "1",
    ];
    let options = [
        &options[..],
        &["--patience", "2", "--set", "checkpoints.best=val loss", "--steps", "47"],
    ]
    .concat();
    assert_done(&train(folder, "whole", &options));
    assert!(kill_and_resume(folder, "killed", &options) > 0);
    assert_eq!(metrics(folder, "whole"), metrics(folder, "killed"));
    for link in ["last.safetensors", "best.safetensors"] {
        assert_eq!(target(folder, "whole", link), target(folder, "killed", link));
        let bytes = |run| std::fs::read(checkpoint(folder, run, link)).unwrap();
        assert!(bytes("whole") == bytes("killed"), "{link} differs");
    }
    assert_eq!(names(folder, "whole", ""), names(folder, "killed", ""));
}

#[test]
fn a_run_of_so_many_steps_ends_in_the_middle_of_an_epoch_and_can_go_on() {
    let folder = sandbox();
    let folder = folder.path();
    let output = train(folder, "run", &["--steps", "30"]);
    assert_done(&output);
    assert_eq!(stdout(&output), "run/checkpoints/step-00000030.safetensors\n");
    let count = |tag: &str| metrics(folder, "run").iter().filter(|m| m.0 == tag).count();
    assert_eq!((count("train loss"), count("test accuracy")), (30, 2));
    assert_done(&train(folder, "run", &["--resume", "--epochs", "3"]));
    assert_done(&train(folder, "whole", &[]));
    assert_same_run(folder, "whole", "run");
    assert_eq!(
        target(folder, "run", "best.safetensors"),
        target(folder, "whole", "best.safetensors")
    );
}

#[test]
fn validation_leaves_the_test_split_alone_until_the_end() {
    let folder = sandbox();
    let folder = folder.path();
    let output = train(folder, "run", &["--val-fraction", "0.25"]);
    assert_done(&output);
    assert!(stderr(&output).contains("val set size: 51\n"), "{}", stderr(&output));
    let tags: Vec<(String, u64)> =
        metrics(folder, "run").into_iter().map(|m| (m.0, m.1)).collect();
    let at =
        |tag: &str| tags.iter().filter(|t| t.0 == tag).map(|t| t.1).collect::<Vec<_>>();
    assert_eq!(at("val accuracy"), [1, 2, 3]);
    assert_eq!(at("test accuracy").len(), 1);
    let last = METRICS.iter().rfind(|metric| metric.is_logged).unwrap();
    assert_eq!(tags.last().unwrap().0, metric::tag("test", last));
    // If the shards have a val split, it is used by default.
    write_stripes(&folder.join("shards"), "val", 40, "d");
    assert_done(&train(folder, "given", &[]));
    assert!(metrics(folder, "given").iter().any(|m| m.0 == "val loss"));
    let resume =
        train(folder, "run", &["--resume", "--val-fraction", "0.5", "--epochs", "4"]);
    assert_fails(
        &resume,
        1,
        "the run was trained on other shards than these, or another part of them",
    );
}

/// Metrics that are not always in metrics.csv are there if the recipe names them, so that
/// a resumed run knows their values.
#[test]
fn a_run_may_go_by_the_macro_f1_and_the_calibration_error() {
    let folder = sandbox();
    let folder = folder.path();
    let options = [
        "--set",
        "checkpoints.best=test macro F1",
        "--set",
        "train.early_stopping={metric=\"test calibration error\", patience=1}",
        "--epochs",
        "40",
    ];
    assert_done(&train(folder, "run", &options));
    let values = |tag: &str| -> Vec<f64> {
        let points = metrics(folder, "run").into_iter().filter(|m| m.0 == tag);
        points.map(|m| m.2).collect()
    };
    let macro_f1 = values("test macro F1");
    let error = values("test calibration error");
    assert!(macro_f1.iter().chain(&error).all(|x| (0.0..=1.0).contains(x)));
    // The run stops after the first epoch whose calibration error is not the lowest yet.
    assert!(error.len() < 40, "{error:?}");
    let (last, falling) = error.split_last().unwrap();
    assert!(falling.is_sorted_by(|a, b| a > b), "{error:?}");
    assert!(last >= falling.last().unwrap(), "{error:?}");
    let highest = macro_f1.iter().copied().fold(f64::MIN, f64::max);
    let best = 1 + macro_f1.iter().position(|&x| x == highest).unwrap();
    let link = target(folder, "run", "best.safetensors");
    assert_eq!(link, format!("epoch-{best:04}.safetensors"));
    let plateau = "train.schedule={type=\"ReduceLROnPlateau\", metric=\"macro F1\"}";
    assert_done(&train(folder, "plateau", &["--epochs", "1", "--set", plateau]));
    let tags: Vec<String> = metrics(folder, "plateau").into_iter().map(|m| m.0).collect();
    assert!(tags.iter().any(|tag| tag == "test macro F1"), "{tags:?}");
    assert!(!tags.iter().any(|tag| tag == "test calibration error"), "{tags:?}");
}

#[test]
fn a_run_stops_early_and_keeps_the_best() {
    let folder = sandbox();
    let folder = folder.path();
    let output =
        train(folder, "run", &["--epochs", "200", "--patience", "2", "--keep", "1"]);
    assert_done(&output);
    assert!(stderr(&output).contains("stopped early after epoch"), "{}", stderr(&output));
    let best = target(folder, "run", "best.safetensors");
    let last = target(folder, "run", "last.safetensors");
    assert_eq!(
        names(folder, "run", "epoch-")
            .iter()
            .filter(|n| n.ends_with("safetensors"))
            .count(),
        2
    );
    assert!(best < last && checkpoint(folder, "run", &best).exists());
    let again = go_on(folder, "run", &[]);
    assert_eq!(stdout(&again), stdout(&output));
}

#[test]
fn time_that_is_up_saves_and_says_how_to_go_on() {
    let folder = sandbox();
    let folder = folder.path();
    let output = train(folder, "run", &["--epochs", "100000", "--max-time", "1s"]);
    assert_done(&output);
    assert!(
        stderr(&output).contains("go on with: train --run run --resume"),
        "{}",
        stderr(&output)
    );
    let record = std::fs::read_to_string(folder.join("run/run.jsonl")).unwrap();
    assert_eq!(record.lines().count(), 2);
    assert!(
        record.contains("\"outcome\":\"time is up\"")
            && record.contains("\"digest\":\"d\""),
        "{record}"
    );
}

#[test]
fn two_runs_never_share_a_folder_at_the_same_time() {
    let folder = sandbox();
    let folder = folder.path();
    let mut child = command(folder, "run", &["--epochs", "100000"]).spawn().unwrap();
    while !checkpoint(folder, "run", "last.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = format!("(process {})", child.id());
    assert_fails(&train(folder, "run", &["--resume"]), 1, &pid);
    assert_fails(&train(folder, "run", &[]), 1, &pid);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn trying_out_takes_few_batches() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "limited", &["--limit-batches", "4"]));
    let steps = |run| metrics(folder, run).iter().filter(|m| m.0 == "train loss").count();
    assert_eq!(steps("limited"), 12);
    assert_done(&train(folder, "overfit", &["--overfit-batches", "1", "--epochs", "60"]));
    let losses: Vec<f64> = metrics(folder, "overfit")
        .iter()
        .filter(|m| m.0 == "train loss")
        .map(|m| m.2)
        .collect();
    assert_eq!(losses.len(), 60);
    assert!(losses[59] < losses[0] / 4.0, "{losses:?}");
    let set = ["--set", "train.optimizer.momentun=0.5"];
    assert_fails(&train(folder, "new", &set), 2, "(did you mean momentum?)");
    assert_fails(
        &train(folder, "new", &["--set", "checkpoints.best=test acuracy"]),
        2,
        "(did you mean test accuracy?)",
    );
    assert!(!folder.join("new").exists());
}

#[test]
fn shards_prepared_as_the_recipe_says_in_other_words_are_no_news() {
    let folder = sandbox();
    let folder = folder.path();
    for (split, count) in [("train", 40), ("test", 20)] {
        let pipeline = "ToTensor | Normalize((0.5,), (0.247,))";
        write_stripes_for(&folder.join("shards"), split, count, "d", pipeline);
    }
    let asked = |text: &str| {
        let recipe = RECIPE.replace(
            "[model]",
            &format!("transforms = {{ train = {text}, test = {text} }}\n[model]"),
        );
        std::fs::write(folder.join("recipe.toml"), recipe).unwrap();
        train(folder, "run", &["--steps", "1", "--resume"])
    };
    let same = asked("\"ToTensor() | Normalize((0.50,), (.2470,))\"");
    assert_done(&same);
    assert!(!stderr(&same).contains("were prepared with"), "{}", stderr(&same));
    std::fs::remove_dir_all(folder.join("run")).unwrap();
    let other = asked("\"ToTensor\"");
    assert_done(&other);
    assert!(
        stderr(&other)
            .contains("note: the test shards were prepared with `ToTensor | Norm"),
        "{}",
        stderr(&other)
    );
    std::fs::remove_dir_all(folder.join("run")).unwrap();
    assert_fails(&asked("\"ToTensr\""), 2, "[transforms], for train: ");
}

#[test]
fn an_epoch_goes_on_with_the_batches_that_it_began_with() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--steps", "30"]));
    for change in [
        &["--batch-size", "16"][..],
        &["--overfit-batches", "20"],
        &["--set", "train.shuffle=false"],
    ] {
        let options = [&["--resume", "--epochs", "3"], change].concat();
        let why = "was saved in the middle of epoch 2, after 5 batches of 8 in a random order: go on with those";
        assert_fails(&train(folder, "run", &options), 2, why);
    }
    // None of these was written to config.toml. After a whole epoch, the batches may
    // change.
    assert_done(&train(folder, "run", &["--resume", "--epochs", "2"]));
    assert_done(&train(
        folder,
        "run",
        &["--resume", "--epochs", "3", "--batch-size", "16"],
    ));
    assert_eq!(
        metrics(folder, "run").iter().filter(|m| m.0 == "train loss").count(),
        25 + 25 + 12
    );
}

#[test]
fn a_run_from_other_weights_with_frozen_layers_goes_on_and_is_repeated() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "first", &["--epochs", "1"]));
    let from = "first/checkpoints/epoch-0001.safetensors";
    let start = [
        "--init",
        from,
        "--init-except",
        "net.4.*",
        "--freeze",
        "net.0.*",
        "--save-every",
        "3",
    ];
    let whole = train(folder, "whole", &start);
    assert_done(&whole);
    assert!(
        stderr(&whole).contains(
            "2 tensors taken; new by --init-except: net.4.weight, net.4.bias\n"
        ),
        "{}",
        stderr(&whole)
    );
    // The same command line is used for every try.
    assert!(kill_and_resume(folder, "killed", &start) > 0);
    assert_same_run(folder, "whole", "killed");
    let again = [
        "--config",
        "whole/config.toml",
        "--run",
        "again",
        "--threads",
        "1",
        "--device",
        &device(),
    ];
    let output = program("train").current_dir(folder).args(again).output().unwrap();
    assert_done(&output);
    assert_same_run(folder, "whole", "again");
    // Frozen weights are unchanged.
    let weight = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        [0, 4].map(|i| file.tensor(&format!("net.{i}.weight")).unwrap().data().to_vec())
    };
    let ([kept, head], [first, other]) = (
        weight(&checkpoint(folder, "whole", "last.safetensors")),
        weight(&folder.join(from)),
    );
    assert!(kept == first && head != other);
    for (option, value) in
        [("--init", "other.pt"), ("--freeze", "net.4.*"), ("--architecture", "lenet5")]
    {
        let other = train(folder, "whole", &["--resume", "--epochs", "4", option, value]);
        assert_fails(&other, 2, &format!("{option} is for the start of a run"));
    }
}

#[test]
fn an_architecture_of_the_command_line_takes_options() {
    let folder = sandbox();
    let folder = folder.path();
    let options =
        ["--architecture", "resnet18", "--set", "model.stem=cifar", "--epochs", "0"];
    assert_done(&train(folder, "run", &options));
    let config = std::fs::read_to_string(folder.join("run/config.toml")).unwrap();
    assert!(
        config.contains("architecture = \"resnet18\"\nstem = \"cifar\"\n"),
        "{config}"
    );
    assert_done(&go_on(folder, "run", &["--architecture", "resnet18", "--epochs", "0"]));
    assert_done(&train(folder, "run", &[&options[..], &["--resume"]].concat()));
    assert_eq!(std::fs::read_to_string(folder.join("run/config.toml")).unwrap(), config);
}

#[test]
fn set_chooses_an_option_of_the_architecture_that_is_given_beside_it() {
    let folder = sandbox();
    let options =
        ["--architecture", "resnet18", "--set", "model.stem=cifar", "--summary"];
    let shape = ["--input", "3x32x32", "--num-classes", "10"];
    let output = train(folder.path(), "none", &[&options[..], &shape].concat());
    assert_done(&output);
    // 3 x 3 for three channels. ResNet's usual stem has 7 x 7.
    let conv1 = stdout(&output)
        .lines()
        .find(|line| line.starts_with("conv1 "))
        .unwrap()
        .to_owned();
    assert!(conv1.contains(" 1,728 "), "{conv1}");
}

#[test]
fn splits_that_cannot_be_used_together_are_refused() {
    let folder = sandbox();
    let folder = folder.path();
    let shards = folder.join("shards");
    write_stripes_for(&shards, "val", 90, "d", "CenterCrop(6) | ToTensor");
    let output = train(folder, "run", &[]);
    assert_fails(&output, 1, "val images are 1x6x6, test images 1x8x8");
    std::fs::remove_dir_all(&shards).unwrap();
    write_stripes(&shards, "test", 90, "d");
    let colors = "Grayscale(3) | ToTensor";
    write_stripes_for(&shards, "train", 90, "d", colors);
    let options = ["--set", &format!("transforms.train={colors}")];
    let output = train(folder, "run", &options);
    assert_fails(&output, 1, "training images are 3x8x8, test images 1x8x8");
    assert!(!folder.join("run").exists());
}

#[test]
fn a_run_killed_before_its_first_checkpoint_begins_again_by_its_own_recipe() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--lr", "0.05", "--epochs", "1"]));
    let whole = std::fs::read(checkpoint(folder, "run", "last.safetensors")).unwrap();
    std::fs::remove_dir_all(folder.join("run/checkpoints")).unwrap();
    assert_done(&go_on(folder, "run", &[]));
    assert!(
        std::fs::read(checkpoint(folder, "run", "last.safetensors")).unwrap() == whole
    );
}

#[test]
fn what_has_no_mean_says_so_and_what_to_do() {
    let folder = sandbox();
    let folder = folder.path();
    // One image in the last batch, with one value per channel.
    let norm = RECIPE.replace(
        "[[model.layer]]\ntype = \"Flatten\"",
        "[[model.layer]]\ntype = \"AdaptiveAvgPool2d\"\noutput_size = 1\n[[model.layer]]\ntype = \"BatchNorm2d\"\n[[model.layer]]\ntype = \"Flatten\"",
    );
    std::fs::write(folder.join("norm.toml"), norm).unwrap();
    let ones = ["--recipe", "norm.toml", "--batch-size", "1"];
    let why = "layer net.3 (BatchNorm2d): expected more than 1 value per channel when training, got [1, 4, 1, 1]: give a larger --batch-size";
    assert_fails(&train(folder, "norm", &ones), 1, why);
    assert_done(&train(folder, "norm2", &["--recipe", "norm.toml", "--epochs", "1"]));
    let loss = "train.loss={ type=\"CrossEntropyLoss\", weight=[0.0, 0.0, 1.0] }";
    let weightless = train(folder, "weightless", &["--batch-size", "1", "--set", loss]);
    assert_fails(
        &weightless,
        1,
        "counts in its loss: [train] loss ignores their labels or gives them the weight \
         0",
    );
    assert!(!stderr(&weightless).contains("learning rate"), "{}", stderr(&weightless));
}

#[test]
fn the_last_linear_is_inferred_before_what_keeps_its_shape() {
    let folder = sandbox();
    let folder = folder.path();
    let nll = RECIPE.replace(
        "type = \"Linear\"",
        "type = \"Linear\"\n[[model.layer]]\ntype = \"LogSoftmax\"\ndim = 1",
    );
    std::fs::write(folder.join("nll.toml"), &nll).unwrap();
    let loss = "train.loss.type=NLLLoss";
    // CrossEntropyLoss computes log(softmax) of the same outputs itself.
    assert_done(&train(
        folder,
        "nll",
        &["--recipe", "nll.toml", "--set", loss, "--epochs", "1"],
    ));
    assert_done(&train(folder, "cross-entropy", &["--epochs", "1"]));
    let accuracy = |run| {
        metrics(folder, run).into_iter().find(|m| m.0 == "test accuracy").unwrap().2
    };
    assert_eq!(accuracy("nll"), accuracy("cross-entropy"));
    let without = train(folder, "new", &["--set", loss]);
    assert_fails(&without, 2, "must end in { type = \"LogSoftmax\", dim = 1 }");
    let nll = nll.replace("type = \"Linear\"", "type = \"Linear\"\nout_features = 3");
    for (end, why) in [
        ("type = \"LogSoftmax\"\ndim = 0", "dim = 0 is the batch's dimension"),
        ("type = \"Softmax\"\ndim = -2", "dim = -2 is the batch's dimension"),
        (
            "type = \"Repeat\"\ntimes = 4000000\nlayer = [{ type = \"ReLU\" }]",
            "more than 10000 layers",
        ),
        ("type = \"Repeat\"\ntimes = 4000000000\nlayer = []", "more than 10000 layers"),
    ] {
        let text = nll.replace("type = \"LogSoftmax\"\ndim = 1", end);
        std::fs::write(folder.join("bad.toml"), text).unwrap();
        assert_fails(&train(folder, "new", &["--recipe", "bad.toml"]), 2, why);
    }
    assert!(!folder.join("new").exists());
}

#[test]
fn what_is_meant_by_an_option_is_said() {
    let folder = sandbox();
    let folder = folder.path();
    assert_fails(
        &train(folder, "new", &["--lr", "-1"]),
        2,
        "optimizer.lr must be a number from 0 up",
    );
    assert_fails(
        &train(folder, "new", &["--val-fraction", "-0.5"]),
        2,
        "must be a fraction from 0",
    );
    assert_done(&train(folder, "run", &["--epochs", "1", "--val-fraction", "0.25"]));
    let record = std::fs::read_to_string(folder.join("run/run.jsonl")).unwrap();
    assert!(
        record.contains("\"for\":\"val\"") && record.contains("\"for\":\"test\""),
        "{record}"
    );
    // A run's folder stands for its last checkpoint.
    let init = train(folder, "init", &["--epochs", "1", "--init", "run"]);
    assert_done(&init);
    assert!(
        stderr(&init).contains("run/checkpoints/last.safetensors: 4 tensors taken"),
        "{}",
        stderr(&init)
    );
    let frozen = [
        "--freeze",
        "net.0.*",
        "--set",
        "train.group=[{ pattern = \"net.0.*\", lr = 1.0 }]",
    ];
    assert_fails(
        &train(folder, "new", &frozen),
        2,
        "`net.0.*` fits only frozen parameters, such as net.0.weight",
    );
    // If no parameter has the optimizer's own learning rate, another one is logged.
    let all = ["--epochs", "1", "--set", "train.group=[{ pattern = \"*\", lr = 0.25 }]"];
    assert_done(&train(folder, "groups", &all));
    let lr = metrics(folder, "groups")
        .into_iter()
        .find(|m| m.0 == "x/learning rate")
        .unwrap()
        .2;
    assert_eq!(lr, 0.25);
    // The path is relative to the current directory.
    std::fs::create_dir(folder.join("elsewhere")).unwrap();
    let config =
        ["--config", "../run/config.toml", "--run", "new", "--device", &device()];
    let output = program("train")
        .current_dir(folder.join("elsewhere"))
        .args(config)
        .output()
        .unwrap();
    assert_fails(
        &output,
        1,
        "elsewhere, which [data] shards of the recipe names: give --data DIR",
    );
}

#[test]
fn a_network_that_ends_in_what_the_loss_does_is_noted() {
    let folder = sandbox();
    let folder = folder.path();
    for (last, loss) in [
        ("Softmax\"\ndim = 1\n", "CrossEntropyLoss"),
        ("Sigmoid\"\n", "BCEWithLogitsLoss"),
    ] {
        let layer = format!("[[model.layer]]\ntype = \"{last}[train]\n");
        fs::write(folder.join("recipe.toml"), RECIPE.replace("[train]\n", &layer))
            .unwrap();
        let loss_type = format!("train.loss.type={loss}");
        let output = train(folder, loss, &["--steps", "1", "--set", &loss_type]);
        assert_done(&output);
        let name = last.split('"').next().unwrap();
        let note =
            format!("note: the network ends in {name}, and {loss} applies {name} itself");
        assert!(stderr(&output).contains(&note), "{}", stderr(&output));
    }
}

#[test]
fn a_run_folder_of_any_bytes_is_trained_in() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = sandbox();
    let folder = folder.path();
    let name = OsStr::from_bytes(b"run-\xff");
    let mut command = command(folder, "run", &["--epochs", "1", "--run"]);
    let output = command.arg(name).output().unwrap();
    assert_done(&output);
    assert!(folder.join(name).join("run.jsonl").exists());
    let mut resume =
        crate::command(folder, "run", &["--epochs", "2", "--resume", "--run"]);
    assert_done(&resume.arg(name).output().unwrap());
    // config.toml cannot record this path, so no run is created.
    let shards = folder.join(OsStr::from_bytes(b"shards-\xff"));
    fs::rename(folder.join("shards"), &shards).unwrap();
    let mut command = crate::command(folder, "new", &["--epochs", "1", "--data"]);
    let output = command.arg(&shards).output().unwrap();
    assert_fails(&output, 1, "the recipe cannot be written");
    assert!(!folder.join("new").exists());
}

#[test]
fn a_run_does_not_overwrite_its_recipe() {
    let folder = sandbox();
    let folder = folder.path();
    for name in [".lock", "run.jsonl"] {
        let recipe = folder.join("run").join(name);
        std::fs::create_dir_all(folder.join("run")).unwrap();
        std::fs::copy(folder.join("recipe.toml"), &recipe).unwrap();
        let named = format!("run/{name}");
        let mut command = program("train");
        command.current_dir(folder).args(["--data", "shards", "--run", "run"]);
        let output = command.args(["--recipe", &named]).output().unwrap();
        assert_fails(&output, 2, &format!("would overwrite the input {named}"));
        assert_eq!(std::fs::read_to_string(&recipe).unwrap(), crate::RECIPE);
        std::fs::remove_file(recipe).unwrap();
    }
}

#[test]
fn a_second_ctrl_c_ends_the_process_without_a_crash() {
    let folder = sandbox();
    let folder = folder.path();
    for i in 0..5 {
        let run = format!("run-{i}");
        let child = command(folder, &run, &["--epochs", "100000"]).spawn().unwrap();
        while !checkpoint(folder, &run, "last.safetensors").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..2 {
            let id = child.id().to_string();
            Command::new("kill").args(["-INT", &id]).status().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert_done(&go_on(folder, &run, &["--epochs", "1"]));
    }
}

#[test]
fn the_end_is_evaluated_once_more_with_copies() {
    let folder = sandbox();
    let folder = folder.path();
    let output = train(folder, "run", &["--epochs", "1", "--set", "train.tta=flip"]);
    assert_done(&output);
    let said = stderr(&output);
    assert!(said.contains("with test-time augmentation (flip):"), "{said}");
    let tags: Vec<String> =
        metrics(folder, "run").into_iter().map(|(tag, _, _)| tag).collect();
    // Every metric but the total loss, which is compared by the mean loss.
    let mut expected = Vec::new();
    for metric in METRICS.iter().filter(|m| m.is_logged && m.ranked_by.is_none()) {
        expected.push(format!("x/test {} with flip", metric.name));
    }
    for tag in ["x/test accuracy with flip", "x/test mean loss with flip"] {
        assert!(expected.iter().any(|t| t == tag), "{expected:?}");
    }
    let with_copies = tags.iter().filter(|tag| tag.ends_with(" with flip"));
    assert!(with_copies.eq(&expected), "{tags:?}");
    let output = train(folder, "crops", &["--set", "train.tta=five_crop"]);
    assert_fails(&output, 2, "[train] tta: five_crop takes parts of");
    assert!(!folder.join("crops").exists());
}

#[test]
fn published_weights_are_taken_by_their_name() {
    let sandbox = sandbox();
    let folder = sandbox.path();
    let missing = train(folder, "init", &["--epochs", "1", "--init", "resnet18"]);
    let said = stderr(&missing);
    assert_eq!(missing.status.code(), Some(1), "{said}");
    assert!(said.contains("`fetch-data resnet18` fetches it"), "{said}");
    assert!(!folder.join("init/config.toml").exists());
    // A file's contents determine its format, not its name.
    assert_done(&train(folder, "first", &["--epochs", "1"]));
    std::fs::create_dir_all(folder.join("data/weights")).unwrap();
    let file = folder.join("data/weights/resnet18-f37072fd.pth");
    std::fs::copy(folder.join("first/checkpoints/last.safetensors"), file).unwrap();
    let started = train(folder, "init", &["--epochs", "1", "--init", "resnet18"]);
    assert_done(&started);
    let said = stderr(&started);
    assert!(said.contains("resnet18-f37072fd.pth: 4 tensors taken"), "{said}");
    let config = std::fs::read_to_string(folder.join("init/config.toml")).unwrap();
    assert!(config.contains("data/weights/resnet18-f37072fd.pth"), "{config}");
}
