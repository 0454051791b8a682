//! The whole pipeline, stage by stage, with real images.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use torchmill_testing::{Sandbox, names, ok, program};

use crate::job::{job, train};

/// The values in metrics.csv by tag and step, as text.
fn metrics(run: &Path) -> HashMap<(String, u64), String> {
    let mut reader = csv::Reader::from_path(run.join("metrics.csv")).unwrap();
    assert_eq!(
        reader.headers().unwrap(),
        ["wall_time", "step", "epoch", "tag", "value"].as_slice()
    );
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            ((row[3].to_owned(), row[1].parse().unwrap()), row[4].to_owned())
        })
        .collect()
}

#[test]
fn each_stage_leaves_what_the_next_one_needs() {
    let job = job();
    assert!(job.raw.join("dataset.toml").exists());
    assert!(
        names(&job.shards)
            .iter()
            .any(|n| n.starts_with("train-00000-of-") && n.ends_with(".shard"))
    );
    assert!(
        names(&job.shards)
            .iter()
            .any(|n| n.starts_with("test-00000-of-") && n.ends_with(".shard"))
    );
    let checkpoints = names(job.run.join("checkpoints"));
    for name in [
        "epoch-0001.safetensors",
        "epoch-0001.state",
        "epoch-0002.safetensors",
        "last.safetensors",
        "best.safetensors",
    ] {
        assert!(
            checkpoints.iter().any(|n| n == name),
            "{name} is not among {checkpoints:?}"
        );
    }
    assert!(!checkpoints.iter().any(|n| n.contains("partial")), "{checkpoints:?}");
    assert!(job.run.join("config.toml").exists());
    // Results on standard output, the rest on standard error.
    assert_eq!(Path::new(job.train.stdout.trim()), job.checkpoint());
    for line in ["train set size: 4000", "test set size: 1000", "train step: 100, loss: "]
    {
        assert!(job.train.stderr.contains(line), "no `{line}` in\n{}", job.train.stderr);
    }
    let metrics = metrics(&job.run);
    // 4000 images make 62 whole batches of 64.
    assert!(metrics.contains_key(&("train loss".to_owned(), 124)), "{metrics:?}");
    for tag in ["test loss", "test accuracy"] {
        assert!(metrics.contains_key(&(tag.to_owned(), 2)), "{metrics:?}");
    }
}

#[test]
fn evaluate_repeats_what_train_measured() {
    let (job, folder) = (job(), Sandbox::new());
    let predictions = folder.join("predictions.csv");
    let json = ok(program("evaluate")
        .arg(job.checkpoint())
        .arg("--data")
        .arg(&job.shards)
        .args(["--device", "cpu", "--format", "json", "--predictions"])
        .arg(&predictions));
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let metrics = metrics(&job.run);
    let measured = |tag: &str| metrics[&(tag.to_owned(), 2)].parse::<f64>().unwrap();
    let (accuracy, loss) = (
        report[0]["accuracy"].as_f64().unwrap(),
        report[0]["total_loss"].as_f64().unwrap(),
    );
    assert_eq!(accuracy, measured("test accuracy"));
    assert!(
        (loss - measured("test loss")).abs() < 1e-3 * loss,
        "{loss}, {}",
        measured("test loss")
    );
    // Two epochs on 4,000 digits: far above the 10 % of chance.
    assert!(accuracy > 0.6, "{accuracy}");

    let mut rows = csv::Reader::from_path(&predictions).unwrap();
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1000);
    let correct = rows.iter().filter(|row| row[2] == row[3]).count();
    assert_eq!(correct as f64 / 1000.0, accuracy);

    let csv = ok(program("evaluate")
        .arg(job.run.join("checkpoints/epoch-0001.safetensors"))
        .arg(job.checkpoint())
        .args(["--format", "csv"]));
    assert_eq!(csv.stdout.lines().count(), 3, "{}", csv.stdout);
    let text = ok(program("evaluate").arg(job.checkpoint()));
    assert!(text.stdout.contains(&format!("{:.1}", accuracy * 100.0)), "{}", text.stdout);
}

#[test]
fn the_same_seed_gives_the_same_bytes_interrupted_or_not() {
    let (job, folder) = (job(), Sandbox::new());
    let run = folder.join("run");
    let mut child = train(&job.shards, &run)
        .args(["--epochs", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut rest = lines
        .map(Result::unwrap)
        .skip_while(|line| !line.starts_with("----- start training epoch 2"));
    assert!(rest.next().is_some(), "there was no second epoch");
    ok(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let last_words = rest.last();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{last_words:?}");
    assert!(!run.join("checkpoints/epoch-0002.safetensors").exists());

    ok(train(&job.shards, &run).args(["--epochs", "2", "--resume"]));
    for epoch in ["epoch-0001", "epoch-0002"] {
        let name = format!("checkpoints/{epoch}.safetensors");
        assert!(
            fs::read(run.join(&name)).unwrap() == fs::read(job.run.join(&name)).unwrap(),
            "{name} differs"
        );
    }
    // The speed is measured, so it differs between equal runs, as wall times do.
    let results = |run: &Path| {
        let mut metrics = metrics(run);
        metrics.retain(|(tag, _), _| tag != "x/images per second");
        metrics
    };
    assert_eq!(results(&run), results(&job.run));
}

#[test]
fn prep_streams_to_another_program() {
    let job = job();
    let stream = program("prep")
        .arg(&job.raw)
        .args(["--split", "test", "-o", "-", "--format", "csv"])
        .output()
        .unwrap();
    assert!(stream.status.success());
    let text = String::from_utf8(stream.stdout).unwrap();
    assert!(text.lines().count() >= 1000, "{} lines", text.lines().count());
}
