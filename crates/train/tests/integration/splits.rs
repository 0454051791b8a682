//! Which images a run trains and evaluates on, and that metrics of different images are
//! not mixed.

use std::fs;
use std::path::Path;

use torchmill::shard::file_name;
use torchmill_testing::{
    assert_done, assert_fails, stderr, write_stripes, write_stripes_for,
};

use crate::{
    RECIPE, assert_same_run, checkpoint, go_on, metrics, sandbox, target, train,
};

const NORMALISED: &str = "ToTensor | Normalize((0.5,), (0.25,))";

fn config(folder: &Path, run: &str) -> String {
    fs::read_to_string(folder.join(run).join("config.toml")).unwrap()
}

#[test]
fn without_a_test_split_images_go_through_the_shards_own_steps() {
    let folder = sandbox();
    let folder = folder.path();
    let shards = folder.join("shards");
    fs::remove_file(shards.join(file_name("test", 0, 1))).unwrap();
    let random = format!("RandomHorizontalFlip | {NORMALISED}");
    write_stripes_for(&shards, "train", 200, "d", &random);
    let options = ["--val-fraction", "0.25", "--epochs", "2"];
    let output = train(folder, "run", &options);
    assert_done(&output);
    let note = "note: validation images go through `ToTensor | Normalize(";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    // With the same pipelines in the recipe.
    let transforms = format!(
        "transforms = {{ train = \"{random}\", test = \"{NORMALISED}\" }}\n[model]"
    );
    fs::write(folder.join("recipe.toml"), RECIPE.replace("[model]", &transforms))
        .unwrap();
    assert_done(&train(folder, "asked", &options));
    assert_eq!(metrics(folder, "run"), metrics(folder, "asked"));
    let saved = fs::read(checkpoint(folder, "run", "last.safetensors")).unwrap();
    let saved = String::from_utf8_lossy(&saved);
    assert!(
        saved.contains("ToTensor | Normalize("),
        "the checkpoint has another pipeline"
    );
    // With a val split, its pipeline is used.
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    write_stripes_for(&shards, "val", 60, "d", NORMALISED);
    assert_done(&train(folder, "val", &["--epochs", "1"]));
    assert!(config(folder, "val").contains("test = \"ToTensor | Normalize("));
}

#[test]
fn splits_that_were_prepared_differently_are_noted() {
    let folder = sandbox();
    let folder = folder.path();
    let short = ["--steps", "1"];
    let same = train(folder, "same", &short);
    assert!(!stderr(&same).contains("results may understate"), "{}", stderr(&same));
    write_stripes_for(&folder.join("shards"), "train", 200, "d", NORMALISED);
    let other = train(folder, "other", &short);
    assert_done(&other);
    assert!(stderr(&other).contains("results may understate"), "{}", stderr(&other));
    let random = "RandomHorizontalFlip | ToTensor";
    write_stripes_for(&folder.join("shards"), "test", 60, "d", random);
    let random = train(folder, "random", &short);
    assert!(stderr(&random).contains("has a random step"), "{}", stderr(&random));
}

#[test]
fn a_run_continues_only_with_the_same_images_in_every_split() {
    let folder = sandbox();
    let folder = folder.path();
    let shards = folder.join("shards");
    write_stripes(&shards, "val", 40, "d");
    assert_done(&train(folder, "run", &["--epochs", "1"]));
    let before = config(folder, "run");
    for (split, count, what) in
        [("train", 200, "trained"), ("val", 40, "validated"), ("test", 60, "tested")]
    {
        write_stripes(&shards, split, count, "another");
        let why = format!("the run was {what} on other shards than these");
        assert_fails(&go_on(folder, "run", &["--epochs", "2"]), 1, &why);
        write_stripes(&shards, split, count, "d");
    }
    assert_eq!(config(folder, "run"), before);
    assert_done(&go_on(folder, "run", &["--epochs", "2"]));
}

#[test]
fn figures_of_fewer_images_are_not_compared_with_those_of_all() {
    let folder = sandbox();
    let folder = folder.path();
    assert_done(&train(folder, "run", &["--epochs", "2", "--limit-batches", "1"]));
    let output = go_on(folder, "run", &["--epochs", "3", "--limit-batches", "99"]);
    assert_done(&output);
    let note = "60 test images are evaluated from now on, 8 until now";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    assert_eq!(target(folder, "run", "best.safetensors"), "epoch-0003.safetensors");
    // It stays so after a kill and a resume.
    assert_done(&go_on(folder, "run", &[]));
    assert_eq!(target(folder, "run", "best.safetensors"), "epoch-0003.safetensors");
}

#[test]
fn classes_that_cannot_be_learned_are_named() {
    let folder = sandbox();
    let folder = folder.path();
    let two = ["--batch-size", "2", "--epochs", "1"];
    write_stripes(&folder.join("shards"), "train", 2, "d");
    let output = train(folder, "two", &two);
    assert_done(&output);
    let note = "note: no training images are of class ";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    let balanced = ["--set", "train.loss.weight=balanced"];
    let output = train(folder, "balanced", &[&two[..], &balanced].concat());
    assert_done(&output);
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    fs::remove_dir_all(folder.join("balanced")).unwrap();
    write_stripes(&folder.join("shards"), "train", 200, "d");
    assert_done(&train(folder, "balanced", &["--epochs", "1", balanced[0], balanced[1]]));
    // The recipe keeps the rule. The checkpoint has the numbers.
    assert!(config(folder, "balanced").contains("weight = \"balanced\""));
    let saved = fs::read(checkpoint(folder, "balanced", "last.safetensors")).unwrap();
    assert!(!String::from_utf8_lossy(&saved).contains("balanced"));
}

#[test]
fn a_weighted_sampler_draws_the_same_images_after_a_kill() {
    let folder = sandbox();
    let folder = folder.path();
    let sampler = "train.sampler={ type=\"WeightedRandomSampler\", weights=\"balanced\", num_samples=80 }";
    let options = ["--set", sampler, "--epochs", "3"];
    assert_done(&train(folder, "whole", &options));
    let steps = metrics(folder, "whole").iter().filter(|m| m.0 == "train loss").count();
    assert_eq!(steps, 30);
    // Stopped in the middle of an epoch, then resumed to its end.
    assert_done(&train(folder, "stopped", &["--set", sampler, "--steps", "14"]));
    let other = sampler.replace("num_samples=80", "num_samples=160");
    let changed = ["--epochs", "3", "--set", &other];
    let why = "was saved in the middle of epoch 2, after 4 batches of 8 drawn by";
    assert_fails(&go_on(folder, "stopped", &changed), 2, why);
    assert_done(&go_on(folder, "stopped", &["--epochs", "3"]));
    assert_same_run(folder, "whole", "stopped");
}
