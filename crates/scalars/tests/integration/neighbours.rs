//! `scalars` and other processes: several at once, kills and the files they leave,
//! signals, readers that close the pipe, outputs that are inputs.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use torchmill_testing::{Sandbox, program, stderr, stdout};

fn scalars(folder: &Path, arguments: &[&str]) -> Output {
    program("scalars").args(arguments).current_dir(folder).output().unwrap()
}

/// A metrics.csv with this many points.
fn metrics(points: usize) -> String {
    let mut text = "wall_time,step,epoch,tag,value\n".to_owned();
    for i in 1..=points {
        text += &format!("{i},{i},1,loss,{}\n", 1.0 / i as f64);
    }
    text
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn several_at_once_write_one_good_file() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    for round in 0..3 {
        fs::write(folder.join("a.csv"), metrics(2_000 * (round + 1))).unwrap();
        let mut children = Vec::new();
        for _ in 0..4 {
            let mut command = program("scalars");
            command.args(["-q", "a.csv"]).current_dir(folder);
            children.push(command.spawn().unwrap());
        }
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let dump = scalars(folder, &["--dump", "logs"]);
        assert!(dump.status.success(), "{}", stderr(&dump));
        assert_eq!(stdout(&dump).lines().count(), 2_000 * (round + 1) + 1);
        assert_eq!(files(&folder.join("logs/a")).len(), 1);
    }
}

#[test]
fn what_a_killed_one_left_is_removed() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    fs::write(folder.join("a.csv"), metrics(10)).unwrap();
    assert!(scalars(folder, &["a.csv"]).status.success());
    let logs = folder.join("logs/a");
    let [file] = files(&logs).try_into().unwrap();
    // The state after a kill, when the new file had its name and the old one was not yet
    // removed.
    let old = logs.join("events.out.tfevents.0000000000.torchmill.a");
    for points in [10, 11] {
        fs::copy(&file, &old).unwrap();
        fs::write(logs.join(".partial-abcdef"), "half a file").unwrap();
        fs::write(folder.join("a.csv"), metrics(points)).unwrap();
        assert!(scalars(folder, &["a.csv"]).status.success());
        assert_eq!(files(&logs), std::slice::from_ref(&file));
    }
}

#[test]
fn an_output_that_is_an_input_is_refused() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    fs::write(folder.join("metrics.csv"), metrics(3)).unwrap();
    fs::write(folder.join("config.toml"), "name = 'x'\n").unwrap();
    std::os::unix::fs::symlink("metrics.csv", folder.join("link")).unwrap();
    for output in ["metrics.csv", "link", "config.toml"] {
        let refused = scalars(folder, &["metrics.csv", "--html", output]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains("would overwrite the input"));
    }
    assert_eq!(fs::read_to_string(folder.join("metrics.csv")).unwrap(), metrics(3));
    assert!(!folder.join("logs").exists());
}

#[test]
fn a_reader_that_goes_away_ends_the_dump_quietly() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    fs::write(folder.join("a.csv"), metrics(50_000)).unwrap();
    assert!(scalars(folder, &["a.csv"]).status.success());
    let mut child = program("scalars")
        .args(["--dump", "logs"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = program("scalars");
    let output = command.arg("--help").stdout(full).stderr(Stdio::piped());
    let output = output.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no space left on the disk"), "{}", stderr(&output));
}

#[test]
fn an_ignored_interrupt_stays_ignored() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    fs::write(folder.join("a.csv"), metrics(3)).unwrap();
    let scalars = program("scalars");
    // A shell starts background commands of a script like this.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' INT; exec \"$0\" \"$@\" -q a.csv --follow"])
        .arg(scalars.get_program())
        .args(scalars.get_args())
        .current_dir(folder)
        .spawn()
        .unwrap();
    while !folder.join("logs/a").is_dir() {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(5));
    }
    let send = |signal: &str| {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    send("-INT");
    std::thread::sleep(Duration::from_millis(700));
    fs::write(folder.join("a.csv"), metrics(4)).unwrap();
    send("-TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn downloads_of_tensorboards_page_are_named_by_their_files() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    let text = "Wall time,Step,Value\n1.5,1,0.5\n";
    fs::write(folder.join("run-a-tag-loss.csv"), text).unwrap();
    fs::write(folder.join("run-a-tag-accuracy.csv"), text.replace("0.5", "0.25"))
        .unwrap();
    let names = ["run-a-tag-accuracy.csv", "run-a-tag-loss.csv"];
    assert!(scalars(folder, &names).status.success());
    let dump = stdout(&scalars(folder, &["--dump", "logs"]));
    let rows: Vec<&str> = dump.lines().skip(1).collect();
    assert_eq!(rows, ["a,1.5,1,accuracy,0.25", "a,1.5,1,loss,0.5"]);
}

#[test]
fn git_lfs_pointers_are_named() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n";
    fs::write(folder.join("metrics.csv"), pointer).unwrap();
    fs::write(folder.join("events.out.tfevents.1"), pointer).unwrap();
    for arguments in [["metrics.csv", "-q"], ["--dump", "events.out.tfevents.1"]] {
        let output = scalars(folder, &arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("`git lfs pull`"), "{}", stderr(&output));
    }
}
