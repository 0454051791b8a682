//! Several `train` processes that train together. They are started with only environment
//! variables, as in two shells, on loopback.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use torchmill::metric::METRICS;
use torchmill_testing::{
    Sandbox, assert_done, assert_fails, stderr, write_stripes, write_stripes_twice,
};

use crate::{RECIPE, command, go_on_command, metrics, names, sandbox, train};

/// A port of loopback that is free at the moment.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Starts one process of `size`.
fn process(mut command: Command, rank: u32, size: u32, port: u16) -> Child {
    command
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", size.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string());
    if !command.get_args().any(|argument| argument == "--timeout") {
        command.args(["--timeout", "60s"]);
    }
    command.spawn().unwrap()
}

/// Starts all processes of a run with the same options.
fn start(folder: &Path, run: &str, size: u32, options: &[&str]) -> Vec<Child> {
    start_each(size, |_| command(folder, run, options))
}

/// Starts the processes of a run with each rank's command.
pub fn start_each(size: u32, command: impl Fn(u32) -> Command) -> Vec<Child> {
    let port = free_port();
    let mut children = Vec::new();
    for rank in 0..size {
        children.push(process(command(rank), rank, size, port));
    }
    children
}

/// Starts two processes, each with its own options.
fn start_pair(folder: &Path, options: [&[&str]; 2]) -> Vec<Child> {
    start_each(2, |rank| command(folder, "run", options[rank as usize]))
}

pub fn outputs(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn train_together(folder: &Path, run: &str, size: u32, options: &[&str]) -> Vec<Output> {
    outputs(start(folder, run, size, options))
}

/// Checks that all succeeded, and that only the first printed anything.
#[track_caller]
pub fn assert_all_done(outputs: &[Output]) {
    for output in outputs {
        assert_done(output);
    }
    for output in &outputs[1..] {
        assert_eq!((stderr(output).as_str(), output.stdout.len()), ("", 0));
    }
}

/// Waits until a run has saved a checkpoint in the middle of an epoch.
fn wait_for_checkpoint(folder: &Path, run: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    let link = folder.join(run).join("checkpoints/last.safetensors");
    while !link.exists() {
        assert!(Instant::now() < end, "there is no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a recipe without dropout, which draws different numbers in each process.
fn without_dropout(folder: &Sandbox) {
    folder.write("recipe.toml", RECIPE.replace("p = 0.1", "p = 0.0"));
}

#[track_caller]
fn assert_close(a: &[(String, u64, f64)], b: &[(String, u64, f64)]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((&a.0, a.1), (&b.0, b.1));
        let difference = (a.2 - b.2).abs();
        assert!(difference <= 1e-4 * b.2.abs().max(1.0), "{a:?} and {b:?}");
    }
}

#[test]
fn halves_of_a_batch_make_the_step_of_the_whole_batch() {
    let folder = sandbox();
    without_dropout(&folder);
    let folder = folder.path();
    let clipped_and_averaged =
        ["--set", "train.clip_grad_norm=0.1", "--set", "train.ema={ decay = 0.9 }"];
    let in_parts = [&clipped_and_averaged[..], &["--set", "train.accumulate=2"]].concat();
    let cases: [(&str, &[&str], &[&str]); 2] =
        [("", &[], &[]), ("-more", &clipped_and_averaged, &in_parts)];
    for (name, alone, together) in cases {
        let (one, two) = (format!("one{name}"), format!("two{name}"));
        let whole = ["--batch-size", "16", "--set", "train.shuffle=false"];
        assert_done(&train(folder, &one, &[&whole[..], alone].concat()));
        let half = ["--batch-size", "8", "--set", "train.shuffle=false", "-v"];
        let outputs = train_together(folder, &two, 2, &[&half[..], together].concat());
        assert_all_done(&outputs);
        let said = stderr(&outputs[0]);
        assert!(said.contains("2 processes: batches of 8 images in each, 16 together"));
        assert!(said.contains("all processes have the same weights: step 36"), "{said}");
        // The total loss of an evaluation depends on the batch size.
        let of = |run| -> Vec<_> {
            let points = metrics(folder, run).into_iter();
            points.filter(|(tag, ..)| tag != "test loss").collect()
        };
        assert_close(&of(&two), &of(&one));
        let files = |run: &str| names(folder, run, "");
        assert_eq!(files(&two), files(&one));
    }
}

#[test]
fn a_shared_evaluation_finds_what_one_process_finds() {
    let folder = sandbox();
    // Three processes cannot share four chunks evenly, and the last chunk is smaller.
    write_stripes(&folder.path().join("shards"), "test", 200, "d");
    let folder = folder.path();
    // The tiny learning rate leaves the weights unchanged.
    let options = ["--lr", "1e-30", "--steps", "1", "-v"];
    assert_done(&train(folder, "one", &options));
    let outputs = train_together(folder, "three", 3, &options);
    assert_all_done(&outputs);
    let said = stderr(&outputs[0]);
    assert!(said.contains("all processes have the same weights: step 1\n"), "{said}");
    let tested = |run| -> Vec<_> {
        let points = metrics(folder, run).into_iter();
        points.filter(|(tag, ..)| tag.starts_with("test ")).collect()
    };
    assert_eq!(
        tested("three").len(),
        METRICS.iter().filter(|metric| metric.is_logged).count()
    );
    assert_eq!(tested("three"), tested("one"));
}

#[test]
fn each_process_draws_dropout_and_mixes_differently_and_again_the_same() {
    let folder = sandbox();
    // The processes take turns in the images, so both get those that one process gets.
    write_stripes(&folder.path().join("once"), "train", 48, "e");
    write_stripes_twice(&folder.path().join("twice"), "train", 48, "e");
    for shards in ["once", "twice"] {
        write_stripes(&folder.path().join(shards), "test", 60, "e");
    }
    without_dropout(&folder);
    folder.write("dropout.toml", RECIPE.replace("p = 0.1", "p = 0.5"));
    let folder = folder.path();
    let in_order = ["--set", "train.shuffle=false"];
    let cases: [(&str, &[&str]); 4] = [
        ("same", &[]),
        ("dropout", &["--recipe", "dropout.toml"]),
        ("mixup", &["--set", "train.mixup=1.0"]),
        ("cutmix", &["--set", "train.cutmix=1.0"]),
    ];
    for (name, settings) in cases {
        let options = [&in_order[..], settings, &["--data"]].concat();
        let [alone, two, again] =
            ["alone", "two", "again"].map(|run| format!("{name}-{run}"));
        assert_done(&train(folder, &alone, &[&options[..], &["once"]].concat()));
        let twice = [&options[..], &["twice"]].concat();
        for run in [&two, &again] {
            assert_all_done(&train_together(folder, run, 2, &twice));
        }
        crate::assert_same_run(folder, &two, &again);
        if name == "same" {
            assert_close(&metrics(folder, &two), &metrics(folder, &alone));
            continue;
        }
        // The first loss of rank 0 is that of the single process.
        let [alone, two] = [&alone, &two].map(|run| metrics(folder, run)[0].clone());
        assert_eq!((two.0.as_str(), two.1), ("train loss", 1));
        let difference = (two.2 - alone.2).abs();
        assert!(difference > 1e-4, "{name}: rank 1 drew what rank 0 did: {two:?}");
    }
}

/// Enough epochs that the run is stopped before it ends.
const EPOCHS: [&str; 2] = ["--epochs", "20"];
const SAVING: [&str; 4] = ["--epochs", "20", "--save-every", "7"];

/// Checks that the last weights and the metrics are the same.
#[track_caller]
fn assert_same_end(folder: &Path, a: &str, b: &str) {
    let weights = |run| {
        let path = crate::checkpoint(folder, run, "epoch-0020.safetensors");
        fs::read(path).unwrap()
    };
    assert!(weights(a) == weights(b), "the weights differ");
    assert_eq!(metrics(folder, a), metrics(folder, b));
}

#[test]
fn a_killed_process_ends_the_others_and_the_run_goes_on_exactly() {
    let folder = sandbox();
    let folder = folder.path();
    assert_all_done(&train_together(folder, "whole", 3, &EPOCHS));
    let mut children = start(folder, "killed", 3, &SAVING);
    wait_for_checkpoint(folder, "killed");
    children[1].kill().unwrap();
    let outputs = outputs(std::mem::take(&mut children));
    for rank in [0, 2] {
        let said = stderr(&outputs[rank]);
        let why = format!(
            "train: rank {rank}: rank 1 has been killed, hangs or cannot be reached\n"
        );
        assert_eq!(outputs[rank].status.code(), Some(1), "{said}");
        assert!(said.ends_with(&why), "{said}");
        assert_eq!(said.matches("train: ").count(), 1, "{said}");
    }
    // torchrun starts all of them again with the same command line.
    let mut restarted = start_each(3, |_| {
        let mut command = command(folder, "killed", &SAVING);
        command.env("TORCHELASTIC_RESTART_COUNT", "1");
        command
    });
    assert_all_done(&outputs_of(&mut restarted));
    assert_same_end(folder, "whole", "killed");
}

#[test]
fn a_process_that_hangs_is_named_after_the_timeout() {
    let folder = sandbox();
    let folder = folder.path();
    let options = ["--epochs", "100000", "--save-every", "7", "--timeout", "10s"];
    let runs = ["without-0", "without-1"];
    let mut groups = runs.map(|run| start(folder, run, 2, &options));
    for (hanging, children) in groups.iter_mut().enumerate() {
        wait_for_checkpoint(folder, runs[hanging]);
        let process = children[hanging].id().to_string();
        Command::new("kill").args(["-STOP", &process]).status().unwrap();
    }
    for (hanging, children) in groups.iter_mut().enumerate() {
        let other = children.remove(1 - hanging).wait_with_output().unwrap();
        children[0].kill().unwrap();
        children[0].wait().unwrap();
        let rank = 1 - hanging;
        let why = format!(
            "train: rank {rank}: rank {hanging} has been killed, hangs or cannot be \
             reached\n"
        );
        assert!(stderr(&other).ends_with(&why), "{}", stderr(&other));
        assert_eq!(other.status.code(), Some(1));
    }
}

#[test]
fn one_processs_deadline_and_a_loss_that_is_not_finite_end_all() {
    let folder = sandbox();
    let folder = folder.path();
    let endless = ["--epochs", "100000"];
    let limited = [&endless[..], &["--max-time", "2s"]].concat();
    let stopped = outputs(start_pair(folder, [&endless, &limited]));
    assert_all_done(&stopped);
    let said = stderr(&stopped[0]);
    assert!(said.contains("the time is up after step "), "{said}");
    let diverged = train_together(folder, "diverged", 2, &["--lr", "1e30"]);
    for (rank, output) in diverged.iter().enumerate() {
        let why = format!("train: rank {rank}: the loss is ");
        assert_fails(output, 1, &why);
        assert_eq!(stderr(output).matches("train: ").count(), 1, "{}", stderr(output));
    }
}

fn outputs_of(children: &mut Vec<Child>) -> Vec<Output> {
    outputs(std::mem::take(children))
}

/// Starts the processes of a resumed run.
fn start_resumed(folder: &Path, run: &str, size: u32, options: &[&str]) -> Vec<Child> {
    start_each(size, |_| {
        let mut command = go_on_command(folder, run, options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    })
}

#[test]
fn an_interrupted_run_is_saved_once_and_goes_on_only_with_as_many_processes() {
    let folder = sandbox();
    let folder = folder.path();
    assert_all_done(&train_together(folder, "whole", 2, &EPOCHS));
    let mut children = start(folder, "stopped", 2, &SAVING);
    wait_for_checkpoint(folder, "stopped");
    // One process's signal stops all.
    let process = children[1].id().to_string();
    Command::new("kill").args(["-TERM", &process]).status().unwrap();
    let stopped = outputs_of(&mut children);
    for output in &stopped {
        assert_eq!(output.status.code(), Some(130), "{}", stderr(output));
    }
    assert!(stderr(&stopped[0]).contains("interrupted after step"));
    assert_eq!(stderr(&stopped[1]), "");
    assert_eq!(names(folder, "stopped", "step-").len(), 2);
    let mut alone = start_resumed(folder, "stopped", 1, &[]);
    let why = "batches of 8 in a random order, shared by 2 processes: go on with those";
    assert_fails(&outputs_of(&mut alone)[0], 2, why);
    let mut resumed = start_resumed(folder, "stopped", 2, &[]);
    assert_all_done(&outputs_of(&mut resumed));
    assert_same_end(folder, "whole", "stopped");
    // After a whole epoch, the number of processes may change.
    let mut alone = start_resumed(folder, "stopped", 1, &["--epochs", "21"]);
    let alone = outputs_of(&mut alone).remove(0);
    assert_done(&alone);
    let note = "note: the run goes on with 1 processes, until now it had 2";
    assert!(stderr(&alone).contains(note), "{}", stderr(&alone));
}

#[test]
fn processes_that_do_not_fit_together_are_named() {
    let folder = sandbox();
    write_stripes(&folder.path().join("other"), "train", 208, "e");
    write_stripes(&folder.path().join("other"), "test", 60, "e");
    let folder = folder.path();
    let cases: [(&[&str], &str); 2] = [
        (&["--lr", "0.2"], "rank 1 has another recipe than rank 0"),
        (&["--data", "other"], "rank 1 has other shards than rank 0"),
    ];
    for (options, why) in cases {
        for output in outputs(start_pair(folder, [&[], options])) {
            assert_fails(&output, 1, why);
        }
    }
    // If one process fails, all fail.
    let failed = outputs(start_pair(folder, [&[], &["--data", "nowhere"]]));
    assert_fails(&failed[1], 1, "train: rank 1: ");
    assert_fails(&failed[0], 1, "train: rank 0: rank 1 has ended: ");
    assert!(stderr(&failed[0]).contains("nowhere"), "{}", stderr(&failed[0]));
    assert!(!folder.join("run").exists());
}

#[test]
fn missing_processes_and_busy_ports_are_named() {
    let folder = sandbox();
    let folder = folder.path();
    let alone = |rank, port| {
        let child = process(command(folder, "run", &[]), rank, 2, port);
        child.wait_with_output().unwrap()
    };
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let why = format!(
        "train: rank 0: cannot listen on 127.0.0.1:{port} (MASTER_ADDR and MASTER_PORT): \
         the port is in use; give another MASTER_PORT"
    );
    assert_fails(&alone(0, port), 1, &why);
    drop(socket);
    let short = |rank| {
        let mut command = command(folder, "run", &[]);
        command
            .env("RANK", format!("{rank}"))
            .env("WORLD_SIZE", "2")
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", free_port().to_string())
            .args(["--timeout", "1s"]);
        command.output().unwrap()
    };
    let why = "train: rank 0: rank 1 has not come within 1 s";
    assert_fails(&short(0), 1, why);
    let why = "train: rank 1: rank 0 has not come within 1 s: nothing answers at 127.0.0";
    assert_fails(&short(1), 1, why);
    let mut wrong = command(folder, "run", &[]);
    wrong.env("RANK", "2").env("WORLD_SIZE", "2");
    assert_fails(&wrong.output().unwrap(), 2, "rank 2 does not exist among 2 processes");
    assert!(!folder.join("run").exists());
}

#[test]
fn the_interface_for_gloo_is_used_or_refused() {
    let folder = sandbox();
    let folder = folder.path();
    let through = |run: &str, interfaces: [&str; 2]| {
        outputs(start_each(2, |rank| {
            // Gloo waits so long for a process that has ended.
            let options = ["--epochs", "1", "--timeout", "10s"];
            let mut command = command(folder, run, &options);
            command.env("GLOO_SOCKET_IFNAME", interfaces[rank as usize]);
            command
        }))
    };
    let loopback = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
    assert_all_done(&through("named", [loopback, loopback]));
    // Empty means unset.
    assert_all_done(&through("unset", ["", ""]));
    let failed = through("wrong", [loopback, "wrong0"]);
    let why = "rank 1: the environment variable GLOO_SOCKET_IFNAME: this machine has no \
               network interface `wrong0` with an IP address; it has ";
    assert_fails(&failed[1], 2, &format!("train: {why}"));
    let why = "train: rank 0: rank 1 has ended: the environment variable \
               GLOO_SOCKET_IFNAME: ";
    assert_fails(&failed[0], 1, why);
    assert!(!folder.join("wrong").exists());
}

#[test]
fn a_script_starts_processes_without_python() {
    let folder = sandbox();
    let folder = folder.path();
    let script = torchmill_testing::repository().join("scripts/processes");
    let train = command(folder, "run", &["--epochs", "1"]);
    let mut together = Command::new(script);
    together.current_dir(folder).arg("2").arg(train.get_program()).args(train.get_args());
    let output = together.output().unwrap();
    assert_done(&output);
    let said = stderr(&output);
    assert!(said.contains("2 processes: batches of 8 images in each"), "{said}");
    assert_eq!(said.matches("the run is in run").count(), 1, "{said}");
    // The script's exit status is that of the process that failed.
    let mut failing = Command::new(together.get_program());
    let failed = failing.args(["3", "sh", "-c", "exit $RANK"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
}
