//! Checkpoints in the folders of their runs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Output;

use torchmill_testing::{
    assert_done, assert_fails, device, program, stderr, stdout, write_stripes,
};

use crate::networks::{RECIPE, evaluate, sandbox};

/// Writes a run with the weights-only network, on the shards of `sandbox`, in `run`. Its
/// run.jsonl has these classes and this digest of the test images.
fn write_run(folder: &Path, classes: &[&str], digest: &str) {
    let checkpoints = folder.join("run/checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    let last = checkpoints.join("last.safetensors");
    fs::copy(folder.join("weights.safetensors"), last).unwrap();
    let config = format!("{RECIPE}[data]\nshards = \"shards\"\n");
    fs::write(folder.join("run/config.toml"), config).unwrap();
    let start = serde_json::json!({
        "event": "start",
        "folder": folder,
        "classes": classes,
        "splits": [{"for": "test", "split": "test", "images": 100, "digest": digest}],
    });
    fs::write(folder.join("run/run.jsonl"), format!("{start}\n")).unwrap();
}

fn evaluate_run(folder: &Path, run: &Path) -> Output {
    evaluate(folder, &[run.to_str().unwrap()])
}

const CLASSES: [&str; 3] = ["top", "middle", "bottom"];

#[test]
fn a_run_finds_its_shards_from_any_folder() {
    let folder = sandbox();
    write_run(folder.path(), &CLASSES, "d");
    let run = folder.path().join("run");
    let output = evaluate_run(Path::new("/"), &run);
    assert_done(&output);
    assert!(stdout(&output).contains("accuracy 33.00 % (33 of 100)"));
    // Without run.jsonl, the folders around the run are searched.
    fs::remove_file(run.join("run.jsonl")).unwrap();
    assert_done(&evaluate_run(Path::new("/"), &run));
    fs::rename(folder.path().join("shards"), folder.path().join("moved")).unwrap();
    assert_fails(&evaluate_run(Path::new("/"), &run), 1, "give --data DIR");
}

#[test]
fn the_name_of_a_run_may_be_of_any_bytes() {
    let folder = sandbox();
    write_run(folder.path(), &CLASSES, "d");
    let name = OsStr::from_bytes(b"run-\xff");
    fs::rename(folder.path().join("run"), folder.path().join(name)).unwrap();
    let mut command = program("evaluate");
    command.current_dir(folder.path()).arg(name).args(["--device", &device()]);
    let output = command.output().unwrap();
    assert_done(&output);
    assert!(stdout(&output).contains("accuracy 33.00 % (33 of 100)"));
}

#[test]
fn other_test_images_are_said() {
    let folder = sandbox();
    let run = folder.path().join("run");
    let note = "these are not the test images that the run of";
    write_run(folder.path(), &CLASSES, "d");
    let same = evaluate_run(folder.path(), &run);
    assert!(!stderr(&same).contains(note), "{}", stderr(&same));
    write_run(folder.path(), &CLASSES, "another");
    let other = evaluate_run(folder.path(), &run);
    assert_done(&other);
    assert!(stderr(&other).contains(note), "{}", stderr(&other));
}

#[test]
fn weights_only_checkpoints_know_their_runs_classes_and_pipeline() {
    let folder = sandbox();
    let run = folder.path().join("run");
    write_run(folder.path(), &["middle", "top", "bottom"], "d");
    let output = evaluate_run(folder.path(), &run);
    assert_fails(&output, 1, "its class 0 is `middle`, the shards' is `top`");
    write_run(folder.path(), &CLASSES, "d");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let transforms = "[transforms]\ntest = \"ToTensor | Normalize((0.5,), (0.5,))\"\n";
    fs::write(run.join("config.toml"), format!("{config}{transforms}")).unwrap();
    let output = evaluate_run(folder.path(), &run);
    assert_done(&output);
    let note = "was trained for images prepared with `ToTensor | Normalize(";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
}

#[test]
fn shards_that_are_given_win_over_the_runs() {
    let folder = sandbox();
    write_run(folder.path(), &CLASSES, "d");
    write_stripes(&folder.path().join("other"), "test", 30, "e");
    let output = evaluate(folder.path(), &["run", "--data", "other"]);
    assert_done(&output);
    assert!(stdout(&output).contains("on 30 test images"), "{}", stdout(&output));
}
