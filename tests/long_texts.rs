//! Texts of 200,000 characters with terminal control characters, wherever a program reads
//! a name, a key, a cell or a pipeline. Messages must stay short and be escaped.

use std::fs;
use std::path::Path;
use std::process::Command;

use torchmill_testing::{Sandbox, program, write_pets};

use crate::job::{job, train};

/// The length of the texts in files, in characters.
const LENGTH: usize = 200_000;
/// The length of arguments, in characters. Linux allows 128 KiB.
const ARGUMENT: usize = 100_000;

/// A name of this many characters.
fn long(length: usize) -> String {
    // U+009B is an escape in one character, U+202E reverses the text that follows.
    "x\u{9b}2J\u{202e}".to_owned() + &"y".repeat(length)
}

/// Words of this many characters in all.
fn words(length: usize) -> String {
    "word ".repeat(length / 5)
}

/// Runs a command and checks its standard error. Most of these commands fail. Where the
/// text is only a name, they succeed.
fn check(what: &str, command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(matches!(code, Some(0..=2)), "{what}: {}: {said}", output.status);
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(code == Some(0) || !said.is_empty(), "{what}: no message");
    for line in said.lines() {
        let length = line.chars().count();
        assert!(length <= 2_000, "{what}: a message has {length} characters");
    }
    let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
    assert!(!said.contains(steers), "{what}: {said:?}");
}

#[test]
fn arguments() {
    let folder = Sandbox::new();
    let pets = write_pets(folder.path());
    let metrics = job().run.join("metrics.csv");
    for text in [long(ARGUMENT), words(ARGUMENT)] {
        let run = |name: &str, inputs: &[&Path], options: &[&str]| {
            let mut command = program(name);
            command.current_dir(folder.path()).args(inputs).args(options);
            check(&format!("{name} {}", options[0]), &mut command);
        };
        let prep = |option: &str, value: &str| {
            run("prep", &[&pets], &[option, value, "-o", "shards"]);
        };
        prep("--transform", &text);
        prep("--transform", &format!("Resize({text})"));
        prep("--transform", &format!("Resize({text}=3)"));
        prep("--transform", &format!("Resize(\"{text}\")"));
        prep("--transform", &format!("{}{text}", "ToTensor | ".repeat(1_000)));
        prep("--recipe", &text);
        for option in ["--classes", "--split", "--format", "--limit", "--duplicates"] {
            prep(option, &text);
        }
        run("prep", &[], &[&text]);
        run("fetch-data", &[], &[&text]);
        run("fetch-data", &[], &["pets", "--from", &text]);
        run("scalars", &[&metrics], &["--only", &text, "--logdir", "logs"]);
        run("scalars", &[&metrics], &["--rename", &text, "--logdir", "logs"]);
        run("scalars", &[], &[&text, "--logdir", "logs"]);
        run("evaluate", &[&job().run], &["--compare", "--sort", &text]);
        for option in ["--split", "--transform", "--model", "--classes", "--device"] {
            run("evaluate", &[&job().run], &[option, &text]);
        }
        let set = |value: &str| {
            let mut command = train(&job().shards, folder.join("run"));
            check("train --set", command.args(["--set", value]));
        };
        set(&text);
        set(&format!("{text}=1"));
        set(&format!("train.optimizer.type={text}"));
        set(&format!("train.optimizer.{text}=1"));
        set(&format!("train.loss.weight={text}"));
        let mut recipe = program("train");
        recipe.args(["--recipe", &text, "--data"]).arg(&job().shards);
        check("train --recipe", &mut recipe);
    }
}

#[test]
fn recipes() {
    let folder = Sandbox::new();
    for text in [long(LENGTH), words(LENGTH)] {
        // As a key or a value in TOML.
        let quoted = serde_json::to_string(&text).unwrap();
        let model = "[model]\narchitecture = 'article'\n";
        let recipes = [
            format!("{quoted} = 1\n"),
            format!("name = {quoted}\n{model}"),
            format!("[train]\n{quoted} = 1\n"),
            format!("[train]\nepochs = {quoted}\n"),
            format!("[train.optimizer]\ntype = {quoted}\n{model}"),
            format!("[train.optimizer]\ntype = 'SGD'\n{quoted} = 1\n{model}"),
            format!("[train.optimizer]\ntype = 'SGD'\nlr = {quoted}\n{model}"),
            format!("[train.schedule]\ntype = {quoted}\n{model}"),
            format!("[train.loss]\ntype = {quoted}\n{model}"),
            format!("[model]\narchitecture = {quoted}\n"),
            format!("[model]\narchitecture = 'resnet18'\n{quoted} = 1\n"),
            format!("[[model.layer]]\ntype = {quoted}\n"),
            format!("[[model.layer]]\ntype = 'Linear'\n{quoted} = 1\n"),
            format!("[model]\nlayers = {quoted}\n"),
            format!("[data]\ntrain = {quoted}\n{model}"),
            format!("[data]\nshards = {quoted}\n{model}"),
            text.clone(),
        ];
        for (i, recipe) in recipes.iter().enumerate() {
            let path = folder.write("recipe.toml", recipe);
            let mut command = program("train");
            command.arg("--recipe").arg(path).args(["--steps", "1", "--device", "cpu"]);
            command.arg("--data").arg(&job().shards);
            check(&format!("recipe {i}"), command.current_dir(folder.path()));
            let _ = fs::remove_dir_all(folder.join("runs"));
        }
    }
}

#[test]
fn descriptions_of_data_sets() {
    let folder = Sandbox::new();
    let pets = write_pets(folder.path());
    for text in [long(LENGTH), words(LENGTH)] {
        let quoted = serde_json::to_string(&text).unwrap();
        let head = "name = 'pets'\nformat = 'image-folder'\n";
        let classes = "classes = ['cat', 'dog']\n";
        let splits = "[splits]\ntrain = ['train']\n";
        for (i, manifest) in [
            text.clone(),
            format!("{quoted} = 1\n{head}{classes}{splits}"),
            format!("name = {quoted}\nformat = 'image-folder'\n{classes}{splits}"),
            format!("name = 'pets'\nformat = {quoted}\n{classes}{splits}"),
            format!("{head}classes = ['cat', {quoted}]\n{splits}"),
            format!("{head}{classes}[splits]\n{quoted} = ['train']\n"),
            format!("{head}{classes}[splits]\ntrain = [{quoted}]\n"),
        ]
        .iter()
        .enumerate()
        {
            fs::write(pets.join("dataset.toml"), manifest).unwrap();
            let mut prep = program("prep");
            prep.arg(&pets).arg("-o").arg(folder.join("shards"));
            check(&format!("dataset.toml {i}"), &mut prep);
        }
    }
}

#[test]
fn lists_of_images() {
    let folder = Sandbox::new();
    write_pets(folder.path());
    for text in [long(LENGTH), words(LENGTH)] {
        let image = "pets/train/cat/0.ppm";
        let lists = [
            format!("{text},label\n{image},cat\n"),
            format!("path,{text}\n{image},cat\n"),
            format!("path,label\n{text},cat\n"),
            format!("path,label\n{image},{text}\n"),
            format!("path,label,split\n{image},cat,{text}\n"),
            format!("path,{text},b\n{image},1,{text}\n"),
            format!("path,label\n{image},\"{text}\n"),
            text.clone(),
        ];
        for (i, list) in lists.iter().enumerate() {
            let path = folder.write("list.csv", list);
            let mut prep = program("prep");
            prep.arg(path).arg("-o").arg(folder.join("shards"));
            check(&format!("list {i}"), &mut prep);
        }
        let listed = folder.write("test.txt", &text);
        let mut prep = program("prep");
        prep.arg(folder.join("pets/train")).arg("--test-list").arg(listed);
        check("--test-list", prep.arg("-o").arg(folder.join("shards")));
        // A class and a split on standard input.
        let line = format!("{image}\t{text}\n{image}\tcat\t{text}\n");
        let line = fs::File::open(folder.write("lines", line)).unwrap();
        let mut prep = program("prep");
        prep.current_dir(folder.path()).args(["-", "-o", "shards"]).stdin(line);
        check("lines", &mut prep);
        let names = folder.write("names.txt", format!("{text}\n{text}\n"));
        let mut evaluate = program("evaluate");
        evaluate.arg(&job().run).arg("--classes").arg(names).args(["--device", "cpu"]);
        check("--classes", &mut evaluate);
    }
}

#[test]
fn tables_of_metrics() {
    let folder = Sandbox::new();
    for text in [long(LENGTH), words(LENGTH)] {
        let header = "wall_time,step,epoch,tag,value";
        let tables = [
            format!("{header},{text}\n1,1,1,loss,2,3\n"),
            format!("{header}\n{text},1,1,loss,2\n"),
            format!("{header}\n1,{text},1,loss,2\n"),
            format!("{header}\n1,1,1,{text},2\n"),
            format!("{header}\n1,1,1,loss,{text}\n"),
            format!("step,{text}\n1,x\n"),
            format!("step,loss\n1,{text}\n"),
            text.clone(),
        ];
        for (i, table) in tables.iter().enumerate() {
            let path = folder.write("metrics.csv", table);
            let mut scalars = program("scalars");
            scalars.arg(&path).arg("--logdir").arg(folder.join("logs"));
            check(&format!("table {i}"), &mut scalars);
            let mut plot = program("scalars");
            check(&format!("plot of table {i}"), plot.arg(&path).arg("--plot"));
        }
    }
}

/// A safetensors file with one tensor of this name and this metadata.
fn safetensors(name: &str, metadata: &str) -> Vec<u8> {
    let header = serde_json::json!({
        "__metadata__": {"torchmill": metadata},
        name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    });
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &[0; 4]].concat()
}

#[test]
fn checkpoints() {
    let folder = Sandbox::new();
    for text in [long(LENGTH), words(LENGTH)] {
        let quoted = serde_json::to_string(&text).unwrap();
        let files = [
            safetensors(&text, "{}"),
            safetensors("weight", &text),
            safetensors("weight", &format!("{{{quoted}: 1}}")),
            text.clone().into_bytes(),
        ];
        for (i, file) in files.iter().enumerate() {
            let path = folder.write("weights.safetensors", file);
            let mut evaluate = program("evaluate");
            evaluate.arg(&path).args(["--model", "article", "--device", "cpu", "--data"]);
            check(&format!("evaluate {i}"), evaluate.arg(&job().shards));
            let mut init = train(&job().shards, folder.join("run"));
            check(&format!("train --init {i}"), init.arg("--init").arg(&path));
        }
    }
}
