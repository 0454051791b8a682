//! `evaluate --export`: onnxruntime and `evaluate` itself give the same results with the
//! files.

use std::fs;
use std::process::Stdio;

use torchmill_testing::{Sandbox, exists, fails, ok, program};

use crate::job::{job, python};

/// Networks that together have every layer.
const NETWORKS: [(&str, &str); 6] = [
    ("article", "architecture = \"article\""),
    ("mobilenet_v3_small", "architecture = \"mobilenet_v3_small\""),
    ("vit_tiny", "architecture = \"vit_tiny\"\npatch_size = 7"),
    ("norms", NORMS),
    ("pools", POOLS),
    ("activations", ACTIVATIONS),
];

const NORMS: &str = r#"layer = [
    "Conv2d(out_channels=12, kernel_size=3, padding='same', padding_mode='circular')",
    "GroupNorm(3)",
    "Conv2d(12, 12, (3, 2), padding=1, padding_mode='reflect', groups=4)",
    "BatchNorm2d()",
    "Conv2d(12, 12, 3, dilation=2, stride=(1, 2), bias=False)",
    "BatchNorm2d(affine=False)",
    "LayerNorm2d()",
    "LayerScale(0.5)",
    "Flatten()",
    "LayerNorm(bias=False)",
    "Linear()",
]"#;

const POOLS: &str = r#"layer = [
    "Conv2d(out_channels=6, kernel_size=3, padding=1, padding_mode='replicate')",
    "MaxPool2d(3, stride=2, padding=1)",
    "AvgPool2d(3, stride=1, padding=1, count_include_pad=False)",
    "AvgPool2d(2, stride=1, divisor_override=3)",
    "MaxPool2d((2, 3), dilation=2, stride=1)",
    "AdaptiveAvgPool2d((4, 3))",
    "Flatten(2)",
    "Permute((0, 2, 1))",
    "ClassToken()",
    "PositionEmbedding()",
    "MultiheadAttention(num_heads=2)",
    "Select(1, 0)",
    "Scale(0.25)",
    "Linear()",
]"#;

const ACTIVATIONS: &str = r#"layer = [
    "Flatten()",
    "Linear(out_features=20)", "GELU('tanh')",
    "Linear(out_features=20)", "GELU()",
    "Linear(out_features=20)", "Hardsigmoid()",
    "Linear(out_features=20)", "Hardswish()",
    "Linear(out_features=20)", "LeakyReLU(0.2)",
    "Linear(out_features=20)", "ReLU6()",
    "Linear(out_features=20)", "Sigmoid()",
    "Linear(out_features=20)", "SiLU()",
    "Linear(out_features=20)", "Tanh()",
    "Linear(out_features=20)", "LogSoftmax(1)",
    "Linear(out_features=20)", "Softmax(-1)",
    "Dropout()", "StochasticDepth(0.2)", "Identity()",
    {type = "Repeat", times = 2, layer = ["Linear(out_features=20)", "ReLU()"]},
    "Linear()",
]"#;

#[test]
fn onnxruntime_computes_what_evaluate_does() {
    let folder = Sandbox::new();
    let job = job();
    // Only some of the images: the networks are slow without optimisation.
    let shards = folder.join("shards");
    ok(program("prep").arg(&job.raw).arg("-o").arg(&shards).args(["--limit", "100"]));
    for (name, model) in NETWORKS {
        let recipe = folder.join(format!("{name}.toml"));
        fs::write(&recipe, format!("[model]\n{model}\n")).unwrap();
        let run = folder.join(name);
        let mut train = program("train");
        train.arg("--recipe").arg(&recipe).arg("--data").arg(&shards);
        train.arg("--run").arg(&run).args(["--epochs", "0", "--device", "cpu"]);
        ok(&mut train);
        let predictions = folder.join(format!("{name}.csv"));
        let mut evaluate = program("evaluate");
        evaluate.arg(&run).args(["--device", "cpu", "--predictions"]);
        ok(evaluate.arg(&predictions));
        let network = folder.join(format!("{name}.onnx"));
        let said = ok(program("evaluate").arg(&run).arg("--export").arg(&network));
        assert_eq!(said.stdout.trim(), network.to_str().unwrap());
        let of_bytes = folder.join(format!("{name}-bytes.onnx"));
        let mut export = program("evaluate");
        ok(export.arg(&run).arg("--preprocess").arg("--export").arg(&of_bytes));
        let Some(mut script) = python("run_onnx.py") else { return };
        let mut prep = program("prep");
        prep.arg(&job.raw).args(["--split", "test", "--limit", "100"]);
        prep.args(["--format", "npy", "-o", "-"]).stdout(Stdio::piped());
        let mut prep = prep.spawn().unwrap();
        script.arg(&network).arg(&of_bytes).arg(&predictions);
        let said = ok(script.stdin(prep.stdout.take().unwrap())).stdout;
        assert!(prep.wait().unwrap().success() && said.starts_with("equal"), "{name}");
    }
}

#[test]
fn an_exported_state_dict_is_evaluated_as_the_checkpoint_is() {
    let folder = Sandbox::new();
    let job = job();
    let file = folder.join("net.pt");
    ok(program("evaluate").arg(job.checkpoint()).arg("--export").arg(&file));
    let report = |mut command: std::process::Command| {
        command.args(["--device", "cpu", "--format", "csv", "--data"]).arg(&job.shards);
        let said = ok(&mut command).stdout;
        let row = said.lines().nth(1).unwrap();
        row.split_once(',').unwrap().1.to_owned()
    };
    let mut of_checkpoint = program("evaluate");
    of_checkpoint.arg(job.checkpoint());
    let mut of_file = program("evaluate");
    of_file.arg(&file).args(["--model", "article"]);
    assert_eq!(report(of_checkpoint), report(of_file));
    let Some(mut python) = torchmill_testing::python("torch.load is not tried") else {
        return;
    };
    let load = "import sys, torch\n\
                state = torch.load(sys.argv[1], weights_only=True)\n\
                print(type(state).__name__, len(state))";
    let output = python.args(["-c", load]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let has_no_torch = String::from_utf8_lossy(&output.stderr).contains("No module");
    assert!(has_no_torch || said == "OrderedDict 10\n", "{said}");
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let folder = Sandbox::new();
    let checkpoint = job().checkpoint();
    let refused = |arguments: &[&str], status: i32| {
        let mut command = program("evaluate");
        fails(command.arg(&checkpoint).current_dir(folder.path()).args(arguments), status)
    };
    let message = refused(&["--export", "net.h5"], 2);
    assert!(message.contains(".onnx or .pt"), "{message}");
    let message = refused(&["--export", "net.pt", "--preprocess"], 2);
    assert!(message.contains("--preprocess is for .onnx"), "{message}");
    let checkpoint = checkpoint.to_str().unwrap();
    let message = refused(&["--export", "net.onnx", checkpoint], 2);
    assert!(message.contains("takes one checkpoint"), "{message}");
    let message = refused(&["--export", "net.onnx", "--report"], 2);
    assert!(message.contains("--report"), "{message}");
    assert!(!exists(&folder.join("net.onnx")));
}
