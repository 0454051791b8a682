//! The program as a user runs it: exit statuses, messages, and `--follow` on a file that
//! grows, shrinks and disappears.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use torchmill_testing::{Sandbox, program};

fn scalars(folder: &Path, arguments: &[&str]) -> Output {
    program("scalars").args(arguments).current_dir(folder).output().unwrap()
}

fn failure(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = scalars(folder, arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The dumped rows without the header.
fn dump(folder: &Path, events: &str) -> Vec<String> {
    let output = scalars(folder, &["--dump", events]);
    String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect()
}

fn append(path: &Path, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

const HEADER: &str = "wall_time,step,epoch,tag,value\n";

#[test]
fn points_come_back_as_csv() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::write(
        folder.join("a.csv"),
        format!("{HEADER}1.5,100,1,\"odd, tag\",0.1\n2,200,1,loss,NaN\n"),
    )
    .unwrap();
    fs::write(
        folder.join("b.csv"),
        "run\ttag\tstep\tvalue\twall_time\nx\tloss\t1\t2\t3\ny/z\tloss\t1\t4\t5\n",
    )
    .unwrap();
    assert!(scalars(folder, &["a.csv", "b.csv"]).status.success());
    let rows = [
        "a,1.5,100,\"odd, tag\",0.1",
        "a,2,200,loss,NaN",
        "b/x,3,1,loss,2",
        "b/y/z,5,1,loss,4",
    ];
    assert_eq!(dump(folder, "logs"), rows);
    // Convert it back to events.
    fs::write(folder.join("all.csv"), scalars(folder, &["--dump", "logs"]).stdout)
        .unwrap();
    assert!(scalars(folder, &["all.csv", "--run", ".", "-o", "copy"]).status.success());
    assert_eq!(dump(folder, "copy"), rows);
    assert!(
        scalars(folder, &["--dump", "logs/a", "--only", "l*", "--tag-prefix", "p/"])
            .stdout
            .ends_with(b"2,200,p/loss,NaN\n")
    );
}

#[test]
fn wrong_input_is_one_clear_line() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::write(folder.join("empty.csv"), "").unwrap();
    fs::write(folder.join("bad.csv"), format!("{HEADER}1,2,3,loss,oops\n")).unwrap();
    fs::write(folder.join("good.csv"), format!("{HEADER}1,2,3,loss,4\n")).unwrap();
    fs::write(
        folder.join("up.csv"),
        "run,wall_time,step,tag,value\n../../etc,1,1,loss,2\n",
    )
    .unwrap();
    fs::create_dir(folder.join("nothing")).unwrap();
    fs::create_dir(folder.join("events")).unwrap();
    fs::write(folder.join("events/events.out.tfevents.1.host"), "").unwrap();
    fs::write(
        folder.join("quote.csv"),
        format!("{HEADER}1,2,3,\"loss,4\n5,6,7,loss,8\n"),
    )
    .unwrap();
    for (arguments, status, message) in [
        (&["none.csv"][..], 1, "cannot read none.csv: no such file or folder"),
        (
            &["empty.csv"],
            1,
            "empty.csv: it is empty; expected a header row and rows of numbers",
        ),
        (
            &["bad.csv"],
            1,
            "bad.csv: line 2, column 5 (value): \"oops\" is not a number; --skip-bad \
             leaves such cells out",
        ),
        (
            &["bad.csv", "--skip-bad"],
            1,
            "bad.csv: it has no valid value; line 2, column 5 (value): \"oops\" is not \
             a number",
        ),
        (
            &["good.csv", "-o", "empty.csv"],
            1,
            "good.csv: cannot make the folder empty.csv/good: not a directory",
        ),
        (
            &["good.csv", "--only", "acc"],
            1,
            "good.csv: no tag fits --only; the tags are \"loss\"",
        ),
        (
            &["good.csv", "--only", "los"],
            1,
            "good.csv: no tag fits --only (did you mean \"loss\"?); the tags are \
             \"loss\"",
        ),
        (
            &["good.csv", "--step", "stepp"],
            1,
            "good.csv: there is no column \"stepp\" (did you mean step?); the columns \
             are wall_time, step, epoch, tag, value",
        ),
        (
            &["good.csv", "--only", "*lsos"],
            1,
            "good.csv: no tag fits --only (did you mean \"loss\"?); the tags are \
             \"loss\"",
        ),
        (&["quote.csv"], 1, "quote.csv: line 2: a quote is opened and never closed"),
        (
            &["good.csv", "bad.csv", "--run", "one"],
            2,
            "--run names one run, but there are 2, the first good.csv and bad.csv: give \
             one of them, or leave --run out",
        ),
        (
            &["events/events.out.tfevents.1.host"],
            2,
            "events/events.out.tfevents.1.host is an event file: scalars --dump prints \
             it as CSV",
        ),
        (
            &["events"],
            1,
            "there is no metrics.csv in or below events, but there are event files: \
             --dump prints them as CSV",
        ),
        (&["good.csv", "good.csv"], 2, "good.csv is given twice"),
        (
            &["up.csv"],
            1,
            "up.csv: a run called \"../../etc\" would lie outside the log folder",
        ),
        (&["nothing"], 1, "there is no metrics.csv in or below nothing"),
        (
            &["--dump", "nothing"],
            1,
            "nothing: no file here or below is called *tfevents*",
        ),
        (
            &["--dump", "good.csv"],
            1,
            "good.csv: record 1 at byte 0: its length does not fit its checksum; is \
             this an event file?",
        ),
        (
            &["--dump", "empty.csv"],
            1,
            "empty.csv: it is empty; an event file starts with its version",
        ),
    ] {
        let (code, text) = failure(folder, arguments);
        assert_eq!(
            (code, text.trim_end()),
            (status, format!("scalars: {message}").as_str()),
            "{arguments:?}"
        );
    }
    assert!(!folder.join("logs").exists());
}

#[test]
fn dumped_runs_are_told_apart() {
    let folder = Sandbox::new();
    let folder = folder.path();
    for run in ["a", "b"] {
        fs::write(folder.join(format!("{run}.csv")), "wall_time,step,loss\n1,2,3\n")
            .unwrap();
    }
    assert!(scalars(folder, &["a.csv", "b.csv"]).status.success());
    assert!(scalars(folder, &["b.csv", "-o", "more"]).status.success());
    let rows = |inputs: &[&str]| {
        let output = scalars(folder, &[&["--dump"], inputs].concat());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let rows = text.lines().map(|row| row.split(',').next().unwrap().to_owned());
        rows.collect::<Vec<_>>()
    };
    let file = |run: &str| {
        let file =
            fs::read_dir(folder.join(run)).unwrap().next().unwrap().unwrap().file_name();
        format!("{run}/{}", file.to_str().unwrap())
    };
    assert_eq!(rows(&["logs/a", "logs/b"]), ["run", "a", "b"]);
    assert_eq!(rows(&[&file("logs/a"), &file("logs/b")]), ["run", "a", "b"]);
    assert_eq!(rows(&["logs/b", "more/b"]), ["run", "logs/b", "more/b"]);
    assert_eq!(rows(&["logs", "more"]), ["run", "logs/a", "logs/b", "more/b"]);
    assert_eq!(rows(&[&file("logs/a")]), ["wall_time", "1"]);
    // Misspelt tags are named here too.
    let (status, message) = failure(folder, &["--dump", "logs", "--only", "lsos*"]);
    let expected =
        "scalars: no tag fits --only (did you mean \"loss\"?); the tags are \"loss\"\n";
    assert_eq!((status, message.as_str()), (1, expected));
    let (status, message) = failure(folder, &["--dump", "logs", "--rename", "los=x"]);
    let expected =
        "there is no tag \"los\" (did you mean \"loss\"?); the tags are \"loss\"\n";
    assert_eq!((status, message.as_str()), (0, expected));
}

#[test]
fn a_run_that_has_only_begun_keeps_no_other_from_being_drawn() {
    let folder = Sandbox::new();
    let folder = folder.path();
    for run in ["a", "b"] {
        fs::create_dir_all(folder.join("runs").join(run)).unwrap();
    }
    fs::write(folder.join("runs/a/metrics.csv"), HEADER).unwrap();
    fs::write(
        folder.join("runs/b/metrics.csv"),
        format!("{HEADER}1,1,1,test loss,0.5\n2,2,1,test loss,0.2"),
    )
    .unwrap();
    let output = scalars(folder, &["runs", "--plot"]);
    assert!(output.status.success(), "{output:?}");
    // The last row is not complete yet: 0.2 may become 0.25.
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("b: 0.5 at step 1\n"),
        "{output:?}"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "runs/a/metrics.csv: it holds no points yet\n"
    );
    let page = scalars(folder, &["runs", "--html", "-"]);
    assert!(page.status.success() && page.stdout.starts_with(b"<!DOCTYPE html>"));
    assert_eq!(failure(folder, &["runs/a", "--plot"]).0, 1);
}

#[test]
fn one_bad_input_does_not_keep_the_others_out() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::write(folder.join("bad.csv"), format!("{HEADER}1,2,3,loss,oops\n")).unwrap();
    fs::write(folder.join("good.csv"), format!("{HEADER}1,2,3,loss,4\n")).unwrap();
    assert_eq!(failure(folder, &["bad.csv", "good.csv"]).0, 1);
    assert_eq!(dump(folder, "logs"), ["good,1,2,loss,4"]);
}

#[test]
fn everything_before_a_damaged_record_is_kept() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::write(folder.join("a.csv"), "step,loss\n1,1\n2,2\n3,3\n").unwrap();
    assert!(scalars(folder, &["a.csv"]).status.success());
    let events =
        fs::read_dir(folder.join("logs/a")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&events).unwrap();
    let at = bytes.len() - 30;
    bytes[at] ^= 1;
    fs::write(&events, bytes).unwrap();
    let output = scalars(folder, &["--dump", "logs"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 3);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("record 4 at byte")
            && message.contains("does not fit its checksum"),
        "{message}"
    );
}

struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the events have these steps. Meanwhile a reader must never see a torn
/// record.
fn wait_for(folder: &Path, steps: &[&str]) {
    let started = Instant::now();
    loop {
        let output = scalars(folder, &["--dump", "logs"]);
        let rows = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> =
            rows.lines().skip(1).map(|row| row.rsplit(',').nth(2).unwrap()).collect();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!message.contains("record"), "{message}");
        if found == steps {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{found:?}, not {steps:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(unix)]
#[test]
fn a_growing_file_is_followed_through_resumes_and_rotation() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::create_dir(folder.join("logs")).unwrap();
    let csv = folder.join("runs/a/metrics.csv");
    let mut command = program("scalars");
    command
        .args(["runs/a/metrics.csv", "--follow"])
        .current_dir(folder)
        .stderr(Stdio::null());
    let mut follower = Follower(command.spawn().unwrap());
    // The file does not exist at first, then is empty, then has a header, then half a
    // row.
    fs::create_dir_all(csv.parent().unwrap()).unwrap();
    append(&csv, "");
    append(&csv, HEADER);
    append(&csv, "1,1,1,loss,1\n2,2,1,loss,2\n3,3,1,loss,3");
    wait_for(folder, &["1", "2"]);
    append(&csv, ".5\n");
    wait_for(folder, &["1", "2", "3"]);
    // Another `scalars` runs meanwhile: no point is written twice.
    append(&csv, "4,4,1,loss,4\n");
    assert!(scalars(folder, &["runs"]).status.success());
    append(&csv, "5,5,1,loss,5\n");
    wait_for(folder, &["1", "2", "3", "4", "5"]);
    // A resume from step 2 cuts the file back and goes on.
    fs::write(&csv, format!("{HEADER}1,1,1,loss,1\n2,2,1,loss,2\n")).unwrap();
    wait_for(folder, &["1", "2"]);
    append(&csv, "9,3,1,loss,3\n");
    wait_for(folder, &["1", "2", "3"]);
    // The same in one step: longer than before, but with other rows.
    fs::write(
        &csv,
        format!("{HEADER}1,1,1,loss,1\n20,2,1,loss,2\n21,3,1,loss,3\n22,4,1,loss,4\n"),
    )
    .unwrap();
    wait_for(folder, &["1", "2", "3", "4"]);
    // The file is moved away, and a new one is begun.
    fs::rename(&csv, csv.with_extension("old")).unwrap();
    append(&csv, &format!("{HEADER}30,7,1,loss,1\n"));
    wait_for(folder, &["7"]);
    append(&csv, "31,8,1,loss,1\n");
    wait_for(folder, &["7", "8"]);
    assert_eq!(fs::read_dir(folder.join("logs/a")).unwrap().count(), 1);
    // Ctrl-C is the normal way to end it.
    assert!(
        Command::new("kill")
            .args(["-INT", &follower.0.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(follower.0.wait().unwrap().code(), Some(0));
    // A rerun finds everything there.
    let (_, text) = failure(folder, &["runs"]);
    assert!(text.contains("up to date"), "{text}");
}

/// The lines that a follower prints, as they come.
fn lines(follower: &mut Follower) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let stderr = std::io::BufReader::new(follower.0.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(stderr) {
            let _ = sender.send(line.unwrap());
        }
    });
    receiver
}

/// Waits for a line that has this text.
fn wait_for_line(lines: &std::sync::mpsc::Receiver<String>, text: &str) {
    while !lines
        .recv_timeout(Duration::from_secs(20))
        .unwrap_or_else(|_| panic!("no {text:?}"))
        .contains(text)
    {}
}

#[test]
fn a_bad_run_ends_no_other_and_what_comes_later_is_told() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::create_dir(folder.join("logs")).unwrap();
    let mut command = program("scalars");
    // The folder appears later.
    command
        .args(["runs", "--follow", "--rename", "lss=x"])
        .current_dir(folder)
        .stderr(Stdio::piped());
    let mut follower = Follower(command.spawn().unwrap());
    let lines = lines(&mut follower);
    wait_for_line(&lines, "runs: waiting for it to appear");
    fs::create_dir_all(folder.join("runs/a")).unwrap();
    fs::create_dir_all(folder.join("runs/b")).unwrap();
    let (a, b) = (folder.join("runs/a/metrics.csv"), folder.join("runs/b/metrics.csv"));
    append(&a, &format!("{HEADER}1,1,1,loss,1\n"));
    wait_for_line(&lines, "so far there is no tag \"lss\" (did you mean \"loss\"?)");
    append(&b, &format!("{HEADER}1,1,1,loss,oops\n"));
    wait_for_line(
        &lines,
        "\"oops\" is not a number; --skip-bad leaves such cells out; the other inputs \
         are still",
    );
    append(&a, "2,2,1,loss,NaN\n");
    wait_for_line(&lines, "runs/a/metrics.csv: 1 value is not finite: line 3");
    append(&a, "3,3,1,loss,inf\n4,4,1,loss,NaN\n");
    wait_for_line(
        &lines,
        "runs/a/metrics.csv: 2 values are not finite, the first at line 4",
    );
    wait_for(folder, &["1", "2", "3", "4"]);
    // Once repaired, it is followed again.
    fs::remove_file(&b).unwrap();
    append(&b, &format!("{HEADER}1,9,1,loss,5\n"));
    wait_for(folder, &["1", "2", "3", "4", "9"]);
    assert!(
        Command::new("kill")
            .args(["-INT", &follower.0.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(follower.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_pipe_is_followed_to_its_end() {
    let folder = Sandbox::new();
    let folder = folder.path();
    fs::create_dir(folder.join("logs")).unwrap();
    let mut command = program("scalars");
    command
        .args(["-", "--follow"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let mut follower = Follower(command.spawn().unwrap());
    let mut pipe = follower.0.stdin.take().unwrap();
    pipe.write_all(b"step,loss\n1,1\n2,").unwrap();
    wait_for(folder, &["1"]);
    pipe.write_all(b"2\n3,3").unwrap();
    drop(pipe);
    wait_for(folder, &["1", "2", "3"]);
    assert_eq!(follower.0.wait().unwrap().code(), Some(0));
}
