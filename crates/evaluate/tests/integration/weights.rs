//! State dicts from other programs, and damaged or unusual ones.

use std::fs;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::networks::{evaluate, sandbox, write_network};
use torchmill_testing::{assert_done, assert_fails, stderr, stdout};

/// Writes the weights of the network that always predicts `middle`. Each name has
/// `prefix`. These `others` are added.
fn write_state_dict(folder: &Path, name: &str, prefix: &str, others: &[&str]) {
    let float = (Kind::Float, Device::Cpu);
    let mut tensors = vec![
        (format!("{prefix}1.weight"), Tensor::zeros([3, 64], float)),
        (format!("{prefix}1.bias"), Tensor::from_slice(&[0.0_f32, 1.0, 0.0])),
    ];
    for other in others {
        tensors.push(((*other).to_owned(), Tensor::ones([3], float)));
    }
    Tensor::write_safetensors(&tensors, folder.join(name)).unwrap();
}

fn evaluate_plain(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let fixed = ["--model", "linear.toml", "--data", "shards"];
    evaluate(folder, &[&fixed[..], arguments].concat())
}

#[test]
fn names_of_other_programs_can_be_left_out() {
    let folder = sandbox();
    let others = ["n_averaged", "criterion.weight"];
    write_state_dict(folder.path(), "other.safetensors", "model.", &others);
    let all = evaluate_plain(folder.path(), &["other.safetensors"]);
    assert_fails(
        &all,
        1,
        "the weights are another network's: 2 unexpected (criterion.weight, n_averaged); \
         --except PATTERN leaves names out",
    );
    let except =
        ["other.safetensors", "--except", "criterion.*", "--except", "n_averaged"];
    let output = evaluate_plain(folder.path(), &except);
    assert_done(&output);
    assert!(stdout(&output).contains("accuracy 33.00 % (33 of 100)"));
    let unused =
        evaluate_plain(folder.path(), &["other.safetensors", "--except", "fc.*"]);
    assert_fails(&unused, 2, "no name matches `fc.*`");
}

#[test]
fn a_compiled_networks_names_are_understood() {
    let folder = sandbox();
    write_state_dict(folder.path(), "compiled.safetensors", "_orig_mod.", &[]);
    write_state_dict(folder.path(), "both.safetensors", "module._orig_mod.", &[]);
    for name in ["compiled.safetensors", "both.safetensors"] {
        assert_done(&evaluate_plain(folder.path(), &[name]));
    }
}

#[test]
fn the_most_similar_names_come_first_on_both_sides() {
    let folder = sandbox();
    let names = ["fc.weight", "fc.bias", "a", "b", "c", "d", "1.weigth", "e"];
    let one = Tensor::ones([1], (Kind::Float, Device::Cpu));
    let tensors: Vec<(&str, &Tensor)> = names.iter().map(|name| (*name, &one)).collect();
    Tensor::write_safetensors(&tensors, folder.path().join("other.safetensors")).unwrap();
    let output = evaluate_plain(folder.path(), &["other.safetensors"]);
    assert_fails(
        &output,
        1,
        "2 missing (1.weight, 1.bias), 8 unexpected (1.weigth, fc.bias, ",
    );
}

#[test]
fn outputs_that_are_nan_count_as_in_torch_and_are_said() {
    let folder = sandbox();
    let nan = Tensor::full([3, 64], f64::NAN, (Kind::Float, Device::Cpu));
    write_network(folder.path(), "nan.safetensors", true, &nan, [0.0; 3]);
    let output = evaluate(
        folder.path(),
        &["nan.safetensors", "--data", "shards", "--top-k", "1,2,3", "--format", "json"],
    );
    assert_done(&output);
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // All outputs are NaN, so the first class is the prediction. Labels are 0, 1, 2, ...
    let top_k = serde_json::json!({"1": 0.34, "2": 0.67, "3": 1.0});
    assert_eq!(rows[0]["top_k_accuracy"], top_k);
    assert_eq!(rows[0]["accuracy"], 0.34);
    assert!(rows[0]["mean_loss"].is_null(), "NaN: {}", rows[0]);
    let note = "the outputs for 100 of 100 images are NaN";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
}

#[test]
fn a_changed_checkpoint_is_refused() {
    let folder = sandbox();
    let path = folder.path().join("full.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let output = evaluate(folder.path(), &["full.safetensors", "--data", "shards"]);
    assert_fails(&output, 1, "does not match the checksum in its metadata");
}

#[test]
fn names_of_classes_may_not_change_places() {
    let folder = sandbox();
    let with = |names: &str| {
        fs::write(folder.path().join("names.txt"), names).unwrap();
        evaluate(
            folder.path(),
            &["full.safetensors", "--data", "shards", "--classes", "names.txt"],
        )
    };
    assert_fails(&with("middle\ntop\nbottom\n"), 1, "names.txt: calls class 0 `middle`");
    assert_fails(&with("top\ntop\nbottom\n"), 1, "names the class `top` twice");
    assert_done(&with("top\nmiddle\nbottom\n"));
}

#[test]
fn other_files_are_named() {
    let folder = sandbox();
    for (name, bytes, text) in [
        ("a.onnx", &b"\x08\x07\x12\x07pytorch"[..], "is an ONNX model"),
        ("b.msgpack", b"\x81\xa6params\x81", "flax"),
        ("c.pth", b"version https://git-lfs.github.com/spec/v1\n", "`git lfs pull`"),
        ("d.safetensors", b"", "d.safetensors is empty"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        assert_fails(&evaluate_plain(folder.path(), &[name]), 1, text);
    }
}
