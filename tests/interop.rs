//! Python reads what the programs write: numpy, safetensors and TensorBoard, none of them knowing of torchmill.

use std::process::Stdio;

use crate::programs::{job, ok, program, python, scratch};

#[test]
fn a_checkpoint_is_the_network_that_pytorchs_names_say() {
    let Some(mut script) = python("article_forward.py") else { return };
    let (job, folder) = (job(), scratch("forward"));
    let predictions = folder.join("predictions.csv");
    let evaluate = ok(program("evaluate")
        .arg(job.checkpoint())
        .args(["--device", "cpu", "--format", "json", "--predictions"])
        .arg(&predictions));
    let report: serde_json::Value = serde_json::from_str(&evaluate.stdout).unwrap();
    let said = ok(script.arg(job.checkpoint()).arg(&job.raw).arg(&predictions)).stdout;
    assert!(said.contains(&format!("accuracy {:.4}", report[0]["accuracy"].as_f64().unwrap())), "{said}");
}

#[test]
fn tensorboard_reads_back_every_point() {
    let Some(mut script) = python("read_events.py") else { return };
    let (job, folder) = (job(), scratch("events"));
    let metrics = job.run.join("metrics.csv");
    ok(program("scalars").arg(&metrics).arg("--logdir").arg(&folder));
    let said = ok(script.arg(&metrics).arg(folder.join("run"))).stdout;
    assert!(said.contains("test accuracy: 2"), "{said}");
}

#[test]
fn numpy_reads_the_stream() {
    let Some(mut script) = python("read_npy.py") else { return };
    let job = job();
    let mut prep = program("prep");
    prep.arg(&job.raw).args(["--split", "test", "--format", "npy", "-o", "-"]).stdout(Stdio::piped());
    let mut prep = prep.spawn().unwrap();
    let said = ok(script.arg(&job.raw).stdin(prep.stdout.take().unwrap())).stdout;
    assert!(prep.wait().unwrap().success());
    assert_eq!(said.trim(), "(1000, 1, 28, 28) (1000,)");
}
