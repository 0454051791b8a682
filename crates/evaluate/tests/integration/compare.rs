//! `--compare`: a table of runs, from the contents of their folders.

use std::fs;
use std::path::Path;

use crate::networks::{RECIPE, evaluate};
use torchmill_testing::{Sandbox, assert_done, assert_fails, stderr, stdout};

/// Writes a run of three epochs. Those in `accuracies` are done.
fn write_run(folder: &Path, lr: f64, accuracies: &[f64]) {
    fs::create_dir_all(folder).unwrap();
    let config = format!(
        "{RECIPE}[train]\nepochs = 3\n[train.optimizer]\ntype = \"SGD\"\nlr = {lr}\n"
    );
    fs::write(folder.join("config.toml"), config).unwrap();
    let mut csv = "wall_time,step,epoch,tag,value\n".to_owned();
    for (epoch, accuracy) in (1..).zip(accuracies) {
        csv += &format!("1.5,{epoch},{epoch},train loss,{lr}\n");
        csv += &format!(
            "1.5,{epoch},{epoch},test accuracy,{accuracy}\n1.5,{epoch},{epoch},test loss,{}\n",
            1.0 - accuracy
        );
    }
    fs::write(folder.join("metrics.csv"), csv).unwrap();
}

fn runs() -> Sandbox {
    let folder = Sandbox::new();
    let at = |name: &str| folder.path().join("runs").join(name);
    write_run(&at("slow"), 0.01, &[0.5, 0.7, 0.6]);
    write_run(&at("fast"), 0.1, &[0.8, f64::NAN]);
    write_run(&at("new"), 0.2, &[]);
    // Half a row, as while a run is writing it.
    let half =
        fs::read_to_string(at("fast").join("metrics.csv")).unwrap() + "1.5,3,3,test accu";
    fs::write(at("fast").join("metrics.csv"), half).unwrap();
    folder
}

#[test]
fn the_table_is_sorted_and_shows_what_differs() {
    let folder = runs();
    // The folder of all runs works like listing each of them.
    for arguments in
        [&["--compare", "runs"][..], &["runs/new", "runs/slow", "runs/fast", "--compare"]]
    {
        let output = evaluate(folder.path(), arguments);
        assert_done(&output);
        let text = stdout(&output);
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows[0].join(" "),
            "run epochs best test accuracy at last last test loss lr"
        );
        assert_eq!(rows[1], ["runs/fast", "2/3", "0.8000", "1", "NaN", "NaN", "0.1"]);
        assert_eq!(
            rows[2],
            ["runs/slow", "3/3", "0.7000", "2", "0.6000", "0.4000", "0.01"]
        );
        assert_eq!(rows[3], ["runs/new", "empty", "-", "-", "-", "-", "0.2"]);
    }
    let text =
        stdout(&evaluate(folder.path(), &["--compare", "runs", "--sort", "train loss"]));
    assert!(
        text.lines().nth(1).unwrap().starts_with("runs/slow "),
        "a lower loss is better:\n{text}"
    );
    // If all runs have been validated, they are sorted by validation, not by test.
    for (name, more) in [
        ("slow", "1.5,3,3,val accuracy,0.9\n"),
        ("fast", "racy,0.7\n1.5,3,3,val accuracy,0.1\n"),
    ] {
        let path = folder.path().join("runs").join(name).join("metrics.csv");
        fs::write(&path, fs::read_to_string(&path).unwrap() + more).unwrap();
    }
    let text = stdout(&evaluate(folder.path(), &["--compare", "runs"]));
    assert!(text.starts_with("run        epochs  best val accuracy  at"), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("runs/slow "), "{text}");
}

/// Writes the optimizer and the schedule of a run whose config.toml is there.
fn set_optimizer(folder: &Path, optimizer: &str, schedule: &str) {
    let text = fs::read_to_string(folder.join("config.toml")).unwrap();
    let rest = text.split("[train.optimizer]").next().unwrap();
    let config = format!("{rest}[train.optimizer]\n{optimizer}\n{schedule}");
    fs::write(folder.join("config.toml"), config).unwrap();
}

#[test]
fn settings_that_only_follow_from_another_are_not_in_the_table() {
    let folder = runs();
    let at = |name: &str| folder.path().join("runs").join(name);
    let sgd = "type = \"SGD\"\nlr = 0.1\nmomentum = 0.9\nweight_decay = 0.0\n";
    let adamw =
        "type = \"AdamW\"\nlr = 0.001\nbetas = [0.9, 0.999]\nweight_decay = 0.01\n";
    let cosine = "[train.schedule]\ntype = \"CosineAnnealingLR\"\neta_min = 0.0\n";
    set_optimizer(&at("slow"), sgd, "");
    set_optimizer(&at("fast"), sgd, cosine);
    set_optimizer(&at("new"), adamw, "");
    let heading = || {
        let text = stdout(&evaluate(folder.path(), &["--compare", "runs"]));
        let columns = text.lines().next().unwrap().split_once("last test loss").unwrap();
        columns.1.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(heading(), ["lr", "optimizer.type", "weight_decay", "schedule.type"]);
    // Two runs of SGD with different momenta: now the type does not say it.
    set_optimizer(&at("slow"), &sgd.replace("0.9", "0.8"), "");
    assert!(heading().contains(&"momentum".to_owned()), "{:?}", heading());
    // The files for programs keep everything.
    let csv = stdout(&evaluate(folder.path(), &["--compare", "runs", "--format", "csv"]));
    for name in ["train.optimizer.betas", "train.schedule.eta_min"] {
        assert!(csv.lines().next().unwrap().contains(name), "{csv}");
    }
}

#[test]
fn json_and_csv_have_every_metric() {
    let folder = runs();
    let json = evaluate(folder.path(), &["--compare", "runs", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows[1]["run"], "runs/slow");
    assert_eq!(
        rows[1]["metrics"]["test accuracy"],
        serde_json::json!({"best": 0.7, "best_epoch": 2, "last": 0.6})
    );
    assert_eq!(rows[1]["settings"], serde_json::json!({"train.optimizer.lr": 0.01}));
    assert_eq!(
        (&rows[0]["state"], &rows[0]["epochs_done"]),
        (&"unfinished".into(), &2.into())
    );
    assert_eq!(rows[2]["state"], "empty");
    let csv = stdout(&evaluate(folder.path(), &["--compare", "runs", "--format", "csv"]));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "run,epochs_done,epochs,state,best test accuracy,best test accuracy epoch,last test accuracy,\
         best test loss,best test loss epoch,last test loss,best train loss,best train loss epoch,\
         last train loss,train.optimizer.lr"
    );
    assert!(lines[2].starts_with("runs/slow,3,3,done,0.7,2,0.6,"), "{}", lines[2]);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_compared() {
    let folder = runs();
    let path = folder.path();
    fs::write(path.join("runs/slow/config.toml"), "lr = ").unwrap();
    fs::create_dir(path.join("runs/nothing")).unwrap();
    fs::write(path.join("runs/notes.txt"), "").unwrap();
    let output = evaluate(
        path,
        &["--compare", "runs/slow", "runs/fast", "runs/nothing", "runs/notes.txt"],
    );
    assert_done(&output);
    let left_out = "left out runs/nothing: it is not a run and has no runs in it";
    for part in
        ["runs/slow: config.toml cannot be read", "left out runs/notes.txt", left_out]
    {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    let text = stdout(&output);
    assert!(
        text.contains("runs/slow  unreadable  ") && !text.contains("runs/nothing"),
        "{text}"
    );
    assert_fails(
        &evaluate(path, &["--compare", "runs/nothing"]),
        2,
        "--compare needs folders of runs",
    );
    assert_fails(
        &evaluate(path, &["--compare", "runs/gone"]),
        1,
        "runs/gone: no such file",
    );
    let sort = evaluate(path, &["--compare", "runs", "--sort", "test acuracy"]);
    assert_fails(
        &sort,
        2,
        "no run has the metric `test acuracy`: there are test accuracy, test loss, \
         train loss (did you mean test accuracy?)",
    );
    assert_fails(
        &evaluate(path, &["--compare", "runs", "--report"]),
        2,
        "For more information",
    );
}

#[test]
fn what_run_jsonl_says_of_the_end_counts() {
    let folder = runs();
    let line = |run: &str, text: &str| {
        fs::write(
            folder.path().join("runs").join(run).join("run.jsonl"),
            format!("{text}\n"),
        )
        .unwrap();
    };
    let start = r#"{"event":"start","pid":1}"#;
    let end = |outcome: &str| {
        format!("{start}\n{{\"event\":\"end\",\"outcome\":\"{outcome}\",\"epoch\":2}}")
    };
    let state = |run: usize| {
        let json = evaluate(folder.path(), &["--compare", "runs", "--format", "json"]);
        let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        rows[run]["state"].as_str().unwrap().to_owned()
    };
    // The first run has done two of its three epochs, the second all three.
    line("fast", &end("done"));
    assert_eq!(state(0), "done");
    let text = stdout(&evaluate(folder.path(), &["--compare", "runs"]));
    let cells: Vec<&str> =
        text.lines().nth(1).unwrap().split_whitespace().take(2).collect();
    assert_eq!(cells, ["runs/fast", "2"]);
    for outcome in ["interrupted", "time is up"] {
        line("fast", &end(outcome));
        assert_eq!(state(0), "unfinished", "{outcome}");
    }
    line("fast", &end("the loss is NaN at step 9"));
    assert_eq!(state(0), "failed");
    let text = stdout(&evaluate(folder.path(), &["--compare", "runs"]));
    assert!(text.contains("runs/fast  failed at 2"), "{text}");
    line("slow", start);
    assert_eq!(state(1), "unfinished");
    line("slow", "{\"event\":");
    assert_eq!(state(1), "done");
}

#[test]
fn runs_with_other_batch_sizes_are_ranked_by_the_mean_loss() {
    let folder = runs();
    // The total loss of a few large batches is small, whatever the mean.
    for (name, total, mean) in [("slow", 0.9, 1.03), ("fast", 4.7, 0.6)] {
        let path = folder.path().join("runs").join(name).join("metrics.csv");
        let text = fs::read_to_string(&path).unwrap();
        let whole = text.rsplit_once('\n').unwrap().0;
        let rows = format!(
            "{whole}\n1.5,4,4,test loss,{total}\n1.5,4,4,test mean loss,{mean}\n"
        );
        fs::write(&path, rows).unwrap();
    }
    let arguments = ["--compare", "runs", "--sort", "test loss"];
    let output = evaluate(folder.path(), &arguments);
    assert_done(&output);
    let text = stdout(&output);
    assert!(text.starts_with("run        epochs  best test mean loss"), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("runs/fast "), "{text}");
    let note = "sorted by `test mean loss`, since `test loss` depends on the batch size";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
}
