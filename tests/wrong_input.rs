//! Wrong input from one program to the next: one clear line, the right exit status, and
//! no half-written files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use torchmill_testing::{
    Sandbox, copy_folder, fails, flip_byte, names, ok, program, refuses,
};

use crate::job::{job, train};

/// The shard of a split in a folder.
fn shard(folder: &Path, split: &str) -> PathBuf {
    let name = names(folder)
        .into_iter()
        .find(|n| n.starts_with(split) && n.ends_with(".shard"))
        .unwrap();
    folder.join(name)
}

/// Checks that a message has all these words.
#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "no `{word}` in `{message}`");
    }
}

#[test]
fn damaged_shards_are_not_trained_on() {
    let (job, folder) = (job(), Sandbox::new());
    for (from_end, what) in [(100, "labels"), (500_000, "pixels")] {
        let shards = folder.join(what);
        copy_folder(&job.shards, &shards);
        let path = shard(&shards, "train");
        flip_byte(&path, from_end);
        let run = folder.join("run");
        says(&fails(&mut train(&shards, &run), 1), &[&path.to_string_lossy()]);
        assert!(!run.exists(), "a run was begun");
        says(
            &fails(program("prep").arg("--inspect").arg(&path), 1),
            &[&path.to_string_lossy()],
        );
    }

    let shards = folder.join("short");
    copy_folder(&job.shards, &shards);
    let path = shard(&shards, "test");
    let length = fs::metadata(&path).unwrap().len();
    for keep in [0, 5, 100, length / 2, length - 1] {
        File::options().write(true).open(&path).unwrap().set_len(keep).unwrap();
        says(
            &fails(
                program("evaluate").arg(job.checkpoint()).arg("--data").arg(&shards),
                1,
            ),
            &[&path.to_string_lossy()],
        );
    }
    fs::remove_file(&path).unwrap();
    let run = folder.join("run");
    says(&fails(&mut train(&shards, &run), 1), &["test", &shards.to_string_lossy()]);
    assert!(!run.exists(), "a run was begun");
}

#[test]
fn missing_files_are_named() {
    let (job, folder) = (job(), Sandbox::new());
    let nothing = folder.join("nothing");
    let name = &*nothing.to_string_lossy();
    says(&fails(&mut train(&nothing, folder.join("run")), 1), &[name]);
    says(
        &fails(program("prep").arg(&nothing).arg("-o").arg(folder.join("shards")), 1),
        &[name],
    );
    says(&fails(program("prep").arg("--inspect").arg(&nothing), 1), &[name]);
    says(
        &fails(program("evaluate").arg(&nothing).arg("--data").arg(&job.shards), 1),
        &[name],
    );
    says(
        &fails(program("evaluate").arg(job.checkpoint()).arg("--data").arg(&nothing), 1),
        &[name],
    );
    says(
        &fails(
            program("scalars").arg(&nothing).arg("--logdir").arg(folder.join("logs")),
            1,
        ),
        &[name],
    );
    says(
        &fails(
            program("fetch-data")
                .args(["cifar10", "--from"])
                .arg(&nothing)
                .arg("--root")
                .arg(folder.join("raw")),
            1,
        ),
        &[name],
    );
    let recipe = folder.join("nothing.toml");
    let mut command = program("train");
    command
        .arg("--recipe")
        .arg(&recipe)
        .arg("--data")
        .arg(&job.shards)
        .arg("--run")
        .arg(folder.join("run"));
    let message = fails(&mut command, 1);
    says(&message, &[&recipe.to_string_lossy()]);
    for name in ["run", "shards", "logs", "raw/cifar10"] {
        assert!(!folder.join(name).exists(), "{name} was left");
    }
}

#[test]
fn a_checkpoint_must_be_one_and_fit() {
    let (job, folder) = (job(), Sandbox::new());
    let evaluate = |checkpoint: &Path, shards: &Path| {
        fails(program("evaluate").arg(checkpoint).arg("--data").arg(shards), 1)
    };
    // Images of a different size.
    let shards = folder.join("shards");
    ok(program("prep")
        .arg(&job.raw)
        .arg("-o")
        .arg(&shards)
        .args(["--transform", "Resize((20, 20)) | ToTensor"]));
    says(&evaluate(&job.checkpoint(), &shards), &["28", "20"]);
    // Weights of a different network.
    let recipe = ok(program("train").args(["--print-recipe", "article"])).stdout;
    let other = folder.join("other.toml");
    fs::write(&other, recipe.replacen("out_channels = 32", "out_channels = 16", 1))
        .unwrap();
    let run = folder.join("run");
    let mut command = program("train");
    command
        .arg("--recipe")
        .arg(&other)
        .arg("--data")
        .arg(&job.shards)
        .arg("--run")
        .arg(&run);
    let message = fails(command.arg("--init").arg(job.checkpoint()), 1);
    says(&message, &["epoch-0002.safetensors", "module1.0.weight"]);
    assert!(!run.exists(), "a run was begun");
    // Not a checkpoint, or half of one.
    let damaged = folder.join("damaged.safetensors");
    let whole = fs::read(job.checkpoint()).unwrap();
    for bytes in [
        &whole[..whole.len() - 1],
        &whole[..whole.len() / 2],
        &whole[..20],
        &whole[..3],
        b"",
        b"wall_time,step",
    ] {
        fs::write(&damaged, bytes).unwrap();
        says(&evaluate(&damaged, &job.shards), &["damaged.safetensors"]);
    }
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&damaged, huge).unwrap();
    says(&evaluate(&damaged, &job.shards), &["damaged.safetensors"]);
}

#[test]
fn a_recipe_is_checked_before_anything_begins() {
    let (job, folder) = (job(), Sandbox::new());
    let recipe = ok(program("train").args(["--print-recipe", "article"])).stdout;
    let cases = [
        ("batch_size = 64", "batchsize = 64", "batchsize"),
        ("type = \"MaxPool2d\"", "type = \"MaxPol2d\"", "MaxPol2d"),
        ("type = \"Flatten\"", "type = \"ReLU\"", "Linear"),
        ("kernel_size = 5", "kernel_size = 50", "Conv2d"),
        ("epochs = 10", "epochs = -1", "-1"),
        ("[train]", "[train", "mine.toml"),
    ];
    for (from, to, word) in cases {
        assert!(recipe.contains(from), "{from}");
        let (path, run) = (folder.join("mine.toml"), folder.join("run"));
        fs::write(&path, recipe.replacen(from, to, 1)).unwrap();
        let mut command = program("train");
        command
            .arg("--recipe")
            .arg(&path)
            .arg("--data")
            .arg(&job.shards)
            .arg("--run")
            .arg(&run)
            .args(["--device", "cpu"]);
        says(&refuses(&mut command), &[word]);
        assert!(!run.exists(), "a run was begun with {to}");
    }
}

#[test]
fn a_full_disk_is_reported() {
    let (job, folder) = (job(), Sandbox::new());
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    fails(program("evaluate").arg(job.checkpoint()).stdout(full()), 1);
    let mut prep = program("prep");
    fails(
        prep.arg(&job.raw)
            .args(["--split", "test", "-o", "-", "--format", "npy"])
            .stdout(full()),
        1,
    );

    // A limit on the file size stands in for a full disk: no shard, checkpoint or data
    // set fits into 64 blocks of 1 KiB.
    let limited = |command: &Command| {
        let mut shell = Command::new("bash");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]);
        shell.arg(command.get_program()).args(command.get_args());
        let output = shell.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    };
    let shards = folder.join("shards");
    limited(program("prep").arg(&job.raw).arg("-o").arg(&shards));
    assert!(
        !shards.exists() || names(&shards).iter().all(|n| !n.ends_with(".shard")),
        "{:?}",
        names(&shards)
    );
    let raw = folder.join("raw");
    limited(program("fetch-data").args(["mnist-5k", "--root"]).arg(&raw));
    assert!(!raw.join("mnist-5k/dataset.toml").exists());
    let run = folder.join("run");
    limited(train(&job.shards, &run).args(["--epochs", "1"]));
    assert!(names(run.join("checkpoints")).iter().all(|n| !n.ends_with(".safetensors")));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (job, folder) = (job(), Sandbox::new());
    // Permissions do not apply to root, but a file in a folder's place stops everyone.
    fs::write(folder.join("file"), "").unwrap();
    let place = folder.join("file/inside");
    let file = folder.join("file");
    let (parent, name) = (&*file.to_string_lossy(), &*place.to_string_lossy());
    says(&fails(&mut train(&job.shards, &place), 1), &[name]);
    says(&fails(program("prep").arg(&job.raw).arg("-o").arg(&place), 1), &[name]);
    says(
        &fails(program("fetch-data").args(["mnist-5k", "--root"]).arg(&place), 1),
        &[name],
    );
    says(
        &fails(
            program("scalars")
                .arg(job.run.join("metrics.csv"))
                .arg("--logdir")
                .arg(&place),
            1,
        ),
        &[name],
    );
    says(
        &fails(
            program("evaluate").arg(job.checkpoint()).arg("--predictions").arg(&place),
            1,
        ),
        &[parent],
    );
}

#[test]
fn a_closed_pipe_ends_a_writer_quietly() {
    let job = job();
    let commands = [
        format!("prep {} --split test --format csv -o -", job.raw.display()),
        format!("evaluate {} --predictions -", job.checkpoint().display()),
    ];
    for command in commands {
        let (name, arguments) = command.split_once(' ').unwrap();
        let path = program(name).get_program().to_string_lossy().into_owned();
        let output = Command::new("bash")
            .args(["-c", &format!("{path} -q {arguments} | head -n 1")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command}");
    }
}

#[test]
fn a_run_is_never_overwritten() {
    let job = job();
    let before = fs::read(job.checkpoint()).unwrap();
    let message = fails(&mut train(&job.shards, &job.run), 2);
    says(&message, &[&job.run.to_string_lossy(), "--resume"]);
    assert!(fs::read(job.checkpoint()).unwrap() == before);
}

#[test]
fn what_is_misspelt_is_suggested() {
    let job = job();
    let folder = Sandbox::new();
    let recipe = ok(program("train").args(["--print-recipe", "article"])).stdout;
    fs::write(folder.join("key.toml"), recipe.replace("epochs =", "epoch =")).unwrap();
    fs::write(folder.join("layer.toml"), recipe.replace("\"Conv2d\"", "\"Conv2D_\""))
        .unwrap();
    let raw = job.raw.to_str().unwrap();
    for (name, arguments, meant) in [
        ("fetch-data", &["cfiar10"][..], "cifar10"),
        (
            "prep",
            &[raw, "-o", "x", "--transform", "RandomHorizontalFlp"],
            "RandomHorizontalFlip",
        ),
        ("prep", &[raw, "-o", "x", "--split", "tests"], "test"),
        ("prep", &[raw, "-o", "x", "--recipe", "artcle"], "article"),
        ("prep", &[raw, "-o", "x", "--recipe", "key.toml"], "epochs"),
        ("train", &["--recipe", "layer.toml", "--data", "x"], "Conv2d"),
        ("train", &["--print-recipe", "artikle"], "article"),
    ] {
        let said = fails(program(name).args(arguments).current_dir(folder.path()), 2);
        assert!(
            said.contains(&format!("did you mean {meant}?")),
            "{name} {arguments:?}\n{said}"
        );
    }
}

#[test]
fn wrong_usage_is_said_in_the_form_of_other_errors() {
    for name in ["fetch-data", "prep", "train", "evaluate", "scalars"] {
        let said = fails(program(name).arg("--no-such-option"), 2);
        let start = format!("{name}: unexpected argument '--no-such-option' found\n");
        assert!(said.starts_with(&start), "{said}");
        assert!(said.contains(&format!("Usage: {name} ")), "{said}");
    }
    let said = fails(program("train").arg("shards/own"), 2);
    says(&said, &["train: unexpected argument `shards/own`", "give --data shards/own"]);
}
