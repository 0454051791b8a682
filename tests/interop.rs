//! Python reads the files of the programs without torchmill: with numpy, safetensors and
//! TensorBoard.

use std::process::{Command, Stdio};

use torchmill_testing::{Sandbox, ok, program, repository};

use crate::job::{job, python, train};

#[test]
fn a_checkpoint_is_the_network_that_pytorchs_names_say() {
    let Some(mut script) = python("article_forward.py") else { return };
    let (job, folder) = (job(), Sandbox::new());
    let predictions = folder.join("predictions.csv");
    let evaluate = ok(program("evaluate")
        .arg(job.checkpoint())
        .args(["--device", "cpu", "--format", "json", "--predictions"])
        .arg(&predictions));
    let report: serde_json::Value = serde_json::from_str(&evaluate.stdout).unwrap();
    let said = ok(script.arg(job.checkpoint()).arg(&job.raw).arg(&predictions)).stdout;
    assert!(
        said.contains(&format!(
            "accuracy {:.4}",
            report[0]["accuracy"].as_f64().unwrap()
        )),
        "{said}"
    );
}

/// Python with torch. torch is large, so `make test`'s Python need not have it; then this
/// prints a note and returns `None`, and the test does nothing.
fn python_with_torch(script: &str) -> Option<Command> {
    let command = python(script)?;
    let has_torch = Command::new(command.get_program())
        .args(["-c", "import torch, safetensors"])
        .output();
    if !has_torch.unwrap().status.success() {
        eprintln!(
            "{} has no torch, {script} is not run",
            command.get_program().display()
        );
        return None;
    }
    Some(command)
}

#[test]
fn a_module_built_from_a_checkpoint_gives_what_evaluate_gives() {
    if python_with_torch("module_forward.py").is_none() {
        return;
    }
    let (job, folder) = (job(), Sandbox::new());
    let small = "[model]\narchitecture = ";
    for (name, model) in [
        ("article", format!("{small}\"article\"")),
        ("lenet5", format!("{small}\"lenet5\"")),
        ("resnet18", format!("{small}\"resnet18\"\nstem = \"cifar\"")),
        ("mobilenet_v3_small", format!("{small}\"mobilenet_v3_small\"")),
        ("efficientnet_b0", format!("{small}\"efficientnet_b0\"")),
        ("vit_tiny", format!("{small}\"vit_tiny\"\npatch_size = 7")),
        ("two_heads", TWO_HEADS.to_owned()),
    ] {
        let (recipe, run) = (folder.join(format!("{name}.toml")), folder.join(name));
        std::fs::write(&recipe, format!("name = \"{name}\"\n{model}\n")).unwrap();
        let mut train = program("train");
        train
            .arg("--recipe")
            .arg(&recipe)
            .arg("--data")
            .arg(&job.shards)
            .arg("--run")
            .arg(&run);
        let trained = ok(train.args(["--epochs", "0", "--device", "cpu"]));
        let (checkpoint, predictions) =
            (trained.stdout.trim(), folder.join("predictions.csv"));
        ok(program("evaluate")
            .args([checkpoint, "--device", "cpu", "--predictions"])
            .arg(&predictions));
        let mut prep = program("prep");
        prep.arg(&job.raw)
            .args(["--split", "test", "--format", "npy", "-o", "-"])
            .stdout(Stdio::piped());
        let mut prep = prep.spawn().unwrap();
        let mut script = python("module_forward.py").unwrap();
        let said = ok(script
            .arg(checkpoint)
            .arg(&predictions)
            .stdin(prep.stdout.take().unwrap()))
        .stdout;
        assert!(
            prep.wait().unwrap().success() && said.starts_with("equal"),
            "{name}: {said}"
        );
    }
}

/// Without gradients, PyTorch has a separate implementation of attention for an even
/// number of heads.
const TWO_HEADS: &str = r#"
[model]
layer = [
    { type = "Conv2d", out_channels = 8, kernel_size = 7, stride = 7 },
    { type = "Flatten", start_dim = 2 },
    { type = "Permute", dims = [0, 2, 1] },
    { type = "MultiheadAttention", num_heads = 2 },
    { type = "Flatten" },
    { type = "Linear" },
]
"#;

#[test]
fn a_plain_state_dict_is_told_from_a_checkpoint() {
    let Some(script) = python_with_torch("module_forward.py") else { return };
    let (job, folder) = (job(), Sandbox::new());
    let run = folder.join("run");
    let mut train = train(&job.shards, &run);
    let trained = ok(train.args(["--epochs", "0", "--weights-only"]));
    let net = repository().join("docs/torchmill_net.py");
    let run = |arguments: &[&str]| {
        Command::new(script.get_program()).arg(&net).args(arguments).output().unwrap()
    };
    for (arguments, text) in [
        (&[trained.stdout.trim(), "net.pt"][..], "is a plain state dict"),
        (&[], "usage: python torchmill_net.py"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success()
                && said.contains(text)
                && !said.contains("Traceback"),
            "{said}"
        );
    }
}

#[test]
fn tensorboard_reads_back_every_point() {
    let Some(mut script) = python("read_events.py") else { return };
    let (job, folder) = (job(), Sandbox::new());
    let metrics = job.run.join("metrics.csv");
    ok(program("scalars").arg(&metrics).arg("--logdir").arg(folder.path()));
    let said = ok(script.arg(&metrics).arg(folder.join("run"))).stdout;
    assert!(said.contains("test accuracy: 2"), "{said}");
}

#[test]
fn numpy_reads_the_stream() {
    let Some(mut script) = python("read_npy.py") else { return };
    let job = job();
    let mut prep = program("prep");
    prep.arg(&job.raw)
        .args(["--split", "test", "--format", "npy", "-o", "-"])
        .stdout(Stdio::piped());
    let mut prep = prep.spawn().unwrap();
    let said = ok(script.arg(&job.raw).stdin(prep.stdout.take().unwrap())).stdout;
    assert!(prep.wait().unwrap().success());
    assert_eq!(said.trim(), "(1000, 1, 28, 28) (1000,)");
}
