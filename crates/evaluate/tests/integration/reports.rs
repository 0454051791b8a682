//! `evaluate` as a user runs it, on a network with known outputs.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::networks::{RECIPE, sandbox, write_network_of};
use torchmill::metric::METRICS;
use torchmill_testing::{
    assert_done, assert_fails, exists, names, program, stderr, stdout, write_stripes,
};

fn evaluate(folder: &Path, arguments: &[&str]) -> Output {
    crate::networks::evaluate(folder, &[&["--data", "shards"], arguments].concat())
}

/// The loss, -log softmax, of an image whose class is predicted, and of any other.
fn losses() -> (f64, f64) {
    let sum = 1_f64.exp() + 2.0;
    (sum.ln() - 1.0, sum.ln())
}

#[test]
fn the_metrics_are_those_computed_by_hand() {
    let folder = sandbox();
    let output = evaluate(folder.path(), &["full.safetensors", "--format", "json"]);
    assert_done(&output);
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &rows[0];
    // The labels are 0, 1, 2, 0, ...: 33 of 100 are `middle`, 21 of the first 64 and 12
    // of the last 36.
    let (right, wrong) = losses();
    let total =
        (21.0 * right + 43.0 * wrong) / 64.0 + (12.0 * right + 24.0 * wrong) / 36.0;
    assert_eq!((row["images"].as_u64(), row["correct"].as_u64()), (Some(100), Some(33)));
    assert!((row["total_loss"].as_f64().unwrap() - total).abs() < 1e-6, "{row}");
    assert!(
        (row["mean_loss"].as_f64().unwrap() - (0.33 * right + 0.67 * wrong)).abs() < 1e-6,
        "{row}"
    );
    assert_eq!(row["accuracy"].as_f64(), Some(0.33));
}

#[test]
fn outputs_are_averaged_over_copies() {
    let folder = sandbox();
    let tta = ["full.safetensors", "--tta", "flip"];
    let text = evaluate(folder.path(), &tta);
    assert_done(&text);
    let expected = "full.safetensors on 100 test images with flip:";
    assert!(stdout(&text).contains(expected), "{}", stdout(&text));
    let json = evaluate(folder.path(), &[&tta[..], &["--format", "json"]].concat());
    assert_done(&json);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows[0]["tta"].as_str(), Some("flip"));
    let csv = evaluate(folder.path(), &[&tta[..], &["--format", "csv"]].concat());
    assert_done(&csv);
    let csv = stdout(&csv);
    let last = |line: &str| line.rsplit(',').next().unwrap().to_owned();
    assert_eq!(csv.lines().map(last).collect::<Vec<_>>(), ["tta", "flip"]);
    let crops = evaluate(folder.path(), &["full.safetensors", "--tta", "ten_crop"]);
    assert_fails(&crops, 2, "--tta: ten_crop takes parts of");
}

#[test]
fn the_page_may_go_to_standard_output_alone() {
    let folder = sandbox();
    let output = evaluate(folder.path(), &["full.safetensors", "--html", "-"]);
    assert_done(&output);
    assert!(
        stdout(&output).starts_with("<!DOCTYPE html>")
            && !folder.path().join("-").exists()
    );
    assert!(
        stderr(&output).contains("accuracy 33.00 % (33 of 100)"),
        "{}",
        stderr(&output)
    );
    let both = evaluate(
        folder.path(),
        &["full.safetensors", "--html", "-", "--predictions", "-"],
    );
    assert_fails(&both, 2, "--predictions and --html cannot both go to standard output");
}

#[test]
fn every_format_and_several_checkpoints() {
    let folder = sandbox();
    let text = evaluate(folder.path(), &["full.safetensors"]);
    assert_done(&text);
    assert!(stdout(&text).contains("accuracy 33.00 % (33 of 100)"), "{}", stdout(&text));
    let two = [
        "full.safetensors",
        "weights.safetensors",
        "--model",
        "linear.toml",
        "--format",
        "csv",
    ];
    let output = evaluate(folder.path(), &two);
    assert_done(&output);
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    let mut others = String::new();
    let named = ["loss", "accuracy", "mean loss", "macro F1", "calibration error"];
    for metric in METRICS.iter().filter(|metric| !named.contains(&metric.name)) {
        others += &format!("{},", metric.key());
    }
    assert_eq!(
        lines[0],
        format!(
            "checkpoint,split,images,total_loss,batch_size,mean_loss,correct,accuracy,\
             {others}macro_precision,macro_recall,macro_f1,weighted_precision,\
             weighted_recall,weighted_f1,calibration_error"
        )
    );
    assert_eq!(lines.len(), 3);
    // The same weights with and without their structure give the same metrics.
    assert_eq!(lines[1].split_once(',').unwrap().1, lines[2].split_once(',').unwrap().1);
}

#[test]
fn a_report_has_every_class_in_every_format() {
    let folder = sandbox();
    let text = stdout(&evaluate(
        folder.path(),
        &["full.safetensors", "--report", "--top-k", "2"],
    ));
    for line in [
        "  top-2 accuracy 67.00 %",
        "      middle     0.3300    1.0000    0.4962        33",
        "weighted avg     0.1089    0.3300    0.1638       100",
        "0 top     . 34  .",
        "  top taken for middle: 34 of 34 (100.0 %)",
    ] {
        assert!(text.contains(&format!("{line}\n")), "no `{line}` in\n{text}");
    }
    let json = evaluate(
        folder.path(),
        &["full.safetensors", "--report", "--top-k", "2,3", "--format", "json"],
    );
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows[0]["top_k_accuracy"], serde_json::json!({"2": 0.67, "3": 1.0}));
    assert_eq!(
        rows[0]["confusion_matrix"],
        serde_json::json!([[0, 34, 0], [0, 33, 0], [0, 33, 0]])
    );
    assert_eq!(rows[0]["classes"][1]["recall"], 1.0);
    // All images have the confidence e / (e + 2). A third is predicted correctly.
    let error = rows[0]["calibration_error"].as_f64().unwrap();
    assert!((error - (1_f64.exp() / (1_f64.exp() + 2.0) - 0.33)).abs() < 1e-6, "{error}");
    let csv = stdout(&evaluate(
        folder.path(),
        &["full.safetensors", "--report", "--format", "csv"],
    ));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "checkpoint,split,class,precision,recall,f1,support,predicted(top),predicted(middle),predicted(bottom)"
    );
    assert_eq!((lines.len(), lines[1]), (4, "full.safetensors,test,top,0,0,0,34,0,34,0"));
}

#[test]
fn a_runs_folder_is_its_last_checkpoint() {
    let folder = sandbox();
    let checkpoints = folder.path().join("run/checkpoints");
    std::fs::create_dir_all(&checkpoints).unwrap();
    assert_fails(
        &evaluate(folder.path(), &["run"]),
        1,
        "run is a run without a checkpoint yet",
    );
    std::fs::copy(
        folder.path().join("full.safetensors"),
        checkpoints.join("epoch-0001.safetensors"),
    )
    .unwrap();
    std::os::unix::fs::symlink(
        "epoch-0001.safetensors",
        checkpoints.join("last.safetensors"),
    )
    .unwrap();
    let config = format!(
        "{RECIPE}[data]\nshards = \"shards\"\n[train.loss]\ntype = \"CrossEntropyLoss\"\nlabel_smoothing = 0.5\n"
    );
    std::fs::write(folder.path().join("run/config.toml"), config).unwrap();
    let output = crate::networks::evaluate(folder.path(), &["run", "--format", "json"]);
    assert_done(&output);
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["checkpoint"], "run/checkpoints/last.safetensors");
    // The network of a run's plain state dict is known from the run.
    std::fs::copy(
        folder.path().join("weights.safetensors"),
        checkpoints.join("epoch-0001.safetensors"),
    )
    .unwrap();
    let plain = crate::networks::evaluate(folder.path(), &["run", "--format", "json"]);
    assert_done(&plain);
    let rows: serde_json::Value = serde_json::from_slice(&plain.stdout).unwrap();
    // The loss is the run's: half of the target is spread evenly over the classes.
    let (right, wrong) = losses();
    let (given, all) = (0.33 * right + 0.67 * wrong, (right + 2.0 * wrong) / 3.0);
    assert!(
        (rows[0]["mean_loss"].as_f64().unwrap() - (given + all) / 2.0).abs() < 1e-6,
        "{rows}"
    );
}

#[test]
fn a_checkpoint_knows_its_loss_wherever_it_is() {
    let folder = sandbox();
    let zeros = tch::Tensor::zeros([3, 64], (tch::Kind::Float, tch::Device::Cpu));
    let bias = [0.0, 1.0, 0.0];
    let mse = format!("{RECIPE}[train.loss]\ntype = \"MSELoss\"\n");
    write_network_of(&mse, folder.path(), "mse.safetensors", true, &zeros, bias);
    write_network_of(&mse, folder.path(), "plain.safetensors", false, &zeros, bias);
    let loss = |arguments: &[&str]| -> f64 {
        let output =
            evaluate(folder.path(), &[arguments, &["--format", "json"]].concat());
        assert_done(&output);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows[0]["mean_loss"].as_f64().unwrap()
    };
    // Correct outputs have no error. In wrong ones, two of three are wrong.
    assert!((loss(&["mse.safetensors"]) - 0.67 * 2.0 / 3.0).abs() < 1e-6);
    let (right, wrong) = losses();
    let cross_entropy = 0.33 * right + 0.67 * wrong;
    assert!(
        (loss(&["plain.safetensors", "--model", "linear.toml"]) - cross_entropy).abs()
            < 1e-6
    );
    // Older files have no loss.
    let path = folder.path().join("mse.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    blank(&mut bytes, br#","loss":{"type":"MSELoss"}"#);
    // They have no checksum, either. Remove its key, eight digits and a comma.
    let key = bytes.windows(11).position(|w| w == br#"\"crc32c\":"#.as_slice()).unwrap();
    bytes[key..key + 24].fill(b' ');
    std::fs::write(&path, bytes).unwrap();
    assert!((loss(&["mse.safetensors"]) - cross_entropy).abs() < 1e-6);
}

/// Replaces a part of a file's JSON metadata, in which quotes are escaped, with spaces.
fn blank(bytes: &mut [u8], part: &[u8]) {
    let mut escaped = Vec::new();
    for &byte in part {
        if byte == b'"' {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    let at = bytes.windows(escaped.len()).position(|w| w == escaped).unwrap();
    bytes[at..at + escaped.len()].fill(b' ');
}

#[test]
fn predictions_name_every_image_and_its_probabilities() {
    let folder = sandbox();
    let output =
        evaluate(folder.path(), &["full.safetensors", "--predictions", "out/p.csv"]);
    assert_done(&output);
    let text = std::fs::read_to_string(folder.path().join("out/p.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 101);
    assert_eq!(
        lines[0],
        "index,source,label,prediction,correct,p(top),p(middle),p(bottom)"
    );
    assert!(lines[2].starts_with("1,stripe-1,middle,middle,1,0.2"), "{}", lines[2]);
    assert!(lines[100].starts_with("99,stripe-99,top,middle,0,"), "{}", lines[100]);
    let sum: f64 = lines[3].split(',').skip(5).map(|p| p.parse::<f64>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6);
    let lines =
        evaluate(folder.path(), &["full.safetensors", "--predictions", "out/p.jsonl"]);
    assert_done(&lines);
    let text_of_lines =
        std::fs::read_to_string(folder.path().join("out/p.jsonl")).unwrap();
    let last: serde_json::Value =
        serde_json::from_str(text_of_lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["index"], &last["source"], &last["correct"]),
        (&99.into(), &"stripe-99".into(), &false.into())
    );
    let to_stdout = evaluate(folder.path(), &["full.safetensors", "--predictions", "-"]);
    assert_eq!(stdout(&to_stdout), text);
    assert!(stderr(&to_stdout).contains("accuracy 33.00 %"));
}

#[test]
fn samples_show_what_is_taken_for_what() {
    let folder = sandbox();
    let path = folder.path();
    std::os::unix::fs::symlink("full.safetensors", path.join("last.safetensors"))
        .unwrap();
    let checkpoints = ["last.safetensors", "sees.safetensors", "--samples", "out"];
    assert_done(&evaluate(path, &checkpoints));
    // The picture of a link is named after its target.
    let names = std::fs::read_dir(path.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["full.png", "sees.png"]);
    let count = |name: &str, counts: fn([u8; 3]) -> bool| {
        let picture = image::open(path.join("out").join(name)).unwrap().to_rgb8();
        picture.pixels().filter(|pixel| counts(pixel.0)).count()
    };
    let green = |pixel| pixel == [0, 110, 50];
    let red = |pixel| pixel == [190, 20, 20];
    // The paper and the ink have other colours, and the noise is darker.
    let bright = |[r, g, b]: [u8; 3]| r >= 128 && r == g && g == b;
    // 24 images: one network is right about all, the other always predicts `middle`.
    assert!(count("sees.png", green) > 0 && count("sees.png", red) == 0);
    assert!(
        count("full.png", green) > 0 && count("full.png", red) > count("full.png", green)
    );
    // The images themselves are the same, enlarged twelve times. Most of the 21 pixels of
    // a class are bright.
    assert_eq!(count("full.png", bright), count("sees.png", bright));
    assert!(
        count("full.png", bright) >= 24 * 12 * 12 * 12,
        "{}",
        count("full.png", bright)
    );
    std::fs::create_dir(path.join("other")).unwrap();
    std::fs::copy(path.join("sees.safetensors"), path.join("other/full.safetensors"))
        .unwrap();
    let clash = evaluate(
        path,
        &["full.safetensors", "other/full.safetensors", "--samples", "out"],
    );
    assert_fails(&clash, 2, "would both be drawn in full.png");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = sandbox();
    write_stripes(&folder.path().join("many"), "test", 20_000, "d");
    let mut command = program("evaluate");
    command.current_dir(folder.path()).args([
        "full.safetensors",
        "--data",
        "many",
        "--predictions",
        "-",
    ]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let folder = sandbox();
    let path = folder.path();
    let plain = evaluate(path, &["weights.safetensors"]);
    assert_fails(
        &plain,
        2,
        "is a plain state dict, which does not say what network it is: give --model",
    );
    let other = evaluate(path, &["weights.safetensors", "--model", "article"]);
    assert_fails(&other, 1, "the weights are another network's: 10 missing (");
    let architecture = evaluate(path, &["weights.safetensors", "--model", "resnet18"]);
    assert_fails(&architecture, 1, "the weights are another network's: 102 missing (");
    let missing = evaluate(path, &["nowhere.safetensors"]);
    assert_fails(&missing, 1, "cannot read nowhere.safetensors: no such file");
    let split = evaluate(path, &["full.safetensors", "--split", "train"]);
    assert_fails(&split, 1, "no shards of the split `train`, only of test");
    let whole = std::fs::read(path.join("full.safetensors")).unwrap();
    std::fs::write(path.join("short.safetensors"), &whole[..whole.len() / 2]).unwrap();
    assert_fails(
        &evaluate(path, &["short.safetensors"]),
        1,
        "is not a whole safetensors file",
    );
    std::fs::write(path.join("text.pt"), "hello").unwrap();
    assert_fails(
        &evaluate(path, &["text.pt", "--model", "linear.toml"]),
        1,
        "is neither a safetensors file nor one that torch.save wrote",
    );
    let full = evaluate(path, &["full.safetensors", "--predictions", "/dev/full/x"]);
    assert_fails(&full, 1, "cannot");
    std::fs::write(
        path.join("wide.toml"),
        RECIPE.replace("\"Linear\"", "\"Linear\"\nin_features = 10"),
    )
    .unwrap();
    let wide = evaluate(path, &["weights.safetensors", "--model", "wide.toml"]);
    assert_fails(&wide, 2, "in_features is 10, but it gets 64");
}

#[test]
fn formats_are_told_by_their_first_bytes() {
    let folder = sandbox();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../torchmill-nn/tests/golden/state_dict.pt");
    for name in ["a.ckpt", "b.pth.tar", "c.bin", "d.safetensors"] {
        std::fs::copy(&golden, folder.path().join(name)).unwrap();
        // The file can be read, but belongs to another network.
        let output = evaluate(folder.path(), &[name, "--model", "linear.toml"]);
        assert_fails(&output, 1, "the weights are another network's");
    }
    std::fs::copy(
        folder.path().join("full.safetensors"),
        folder.path().join("full.ckpt"),
    )
    .unwrap();
    assert_done(&evaluate(folder.path(), &["full.ckpt"]));
}

#[test]
fn what_goes_wrong_later_leaves_what_was_found() {
    let folder = sandbox();
    std::fs::write(folder.path().join("bad.safetensors"), "no checkpoint").unwrap();
    let all =
        ["full.safetensors", "bad.safetensors", "full.safetensors", "--format", "csv"];
    let output = evaluate(folder.path(), &all);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .contains("bad.safetensors: is neither a safetensors file nor one"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(
        stdout(&output).lines().nth(1).unwrap().starts_with("full.safetensors,test,100,")
    );
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = sandbox();
    for (arguments, text) in [
        (
            &["--transform", "ToTensor"][..],
            "--transform is for images, and none are given",
        ),
        (&["--skip-bad"], "--skip-bad is for images"),
        (&["--top-k", "1,4"], "--top-k 4: the network has 3 classes"),
        (&["--model", "resnet19"], "(did you mean resnet18?)"),
        (&["--model", "nosuch"], "the architectures article, lenet5, resnet18"),
    ] {
        assert_fails(
            &evaluate(folder.path(), &[&["full.safetensors"], arguments].concat()),
            2,
            text,
        );
    }
    let report =
        evaluate(folder.path(), &["full.safetensors", "--report", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    let bins = rows[0]["calibration_bins"].as_array().unwrap();
    let bin = bins.iter().find(|bin| bin["count"] == 100).unwrap();
    // The confidence is e / (e + 2) for every image.
    assert!((bin["confidence"].as_f64().unwrap() - 0.576).abs() < 0.001, "{bin}");
}

#[test]
fn an_output_that_is_an_input_is_refused() {
    let folder = sandbox();
    let before = std::fs::read(folder.path().join("full.safetensors")).unwrap();
    for option in ["--predictions", "--html"] {
        let arguments = ["full.safetensors", option, "./full.safetensors"];
        let output = evaluate(folder.path(), &arguments);
        assert_fails(&output, 2, "would overwrite the input full.safetensors");
    }
    assert_eq!(std::fs::read(folder.path().join("full.safetensors")).unwrap(), before);
    // One of the shards that are read.
    let shard = names(folder.path().join("shards"))
        .into_iter()
        .find(|name| name.starts_with("test"));
    let shard = format!("shards/{}", shard.unwrap());
    for option in ["--predictions", "--html"] {
        let output = evaluate(folder.path(), &["full.safetensors", option, &shard]);
        assert_fails(&output, 2, "would overwrite the input shards/");
    }
    let both = ["full.safetensors", "--predictions", "new", "--html", "new"];
    let output = evaluate(folder.path(), &both);
    assert_fails(&output, 2, "--predictions and --html would both be written to new");
    assert!(!exists(&folder.path().join("new")));
}
