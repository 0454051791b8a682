//! The files that the commands in the documents and in the programs' help need.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use torchmill_testing::{Sandbox, copy_folder, ok, write_cifar10, write_ppm};

use crate::job::job;

/// What has been put into a sandbox so far.
#[derive(Debug, Default)]
pub struct Given(HashSet<String>);

impl Given {
    /// Puts `what` into the sandbox, unless it is there already. `place` is where it is
    /// required, for the message of a failure.
    pub fn put(&mut self, sandbox: &Sandbox, place: &str, what: &str) {
        if !self.0.insert(what.to_owned()) {
            return;
        }
        match what {
            "cifar10" => write_cifar10(&sandbox.join("data/raw/cifar10"), 40),
            "mnist-5k" => copy_folder(&job().raw, &sandbox.join("data/raw/mnist-5k")),
            "first" => write_run(sandbox),
            // The same run under other names, for pages about several runs.
            "runs" => {
                self.put(sandbox, place, "first");
                for name in ["mnist", "second"] {
                    ok(&mut sandbox.bash(&format!("cp -r runs/first runs/{name}")));
                }
                ok(&mut sandbox.bash("cp -r data/shards/mnist-5k data/shards/mnist"));
            }
            "photos" => {
                write_photos(&sandbox.join("photos"), 28);
                let photo = sandbox.join("photos/cat/0.jpg");
                fs::copy(photo, sandbox.join("photo.jpg")).unwrap();
            }
            "pets" => {
                write_photos(&sandbox.join("pets"), 40);
                write_photos(&sandbox.join("pictures/pets"), 40);
            }
            other => panic!("{place}: `given: {other}` is unknown in tests/given.rs"),
        }
    }
}

/// `runs/first`, a run of two epochs on mnist-5k, and its shards.
fn write_run(sandbox: &Sandbox) {
    copy_folder(&job().shards, &sandbox.join("data/shards/mnist-5k"));
    ok(sandbox
        .program("train")
        .args(["-q", "--recipe", "article", "--device", "cpu"])
        .args(["--epochs", "2", "--threads", "1"])
        .args(["--data", "data/shards/mnist-5k", "--run", "runs/first"]));
}

/// Two classes of square images. They are PNM but named .jpg like ordinary photos: the
/// format is recognised by the content.
fn write_photos(folder: &Path, side: usize) {
    for (class, red) in [("cat", 200u8), ("dog", 40)] {
        for i in 0..10u8 {
            let pixel = |p: usize| [red, (p % 200) as u8, i * 20];
            let pixels: Vec<u8> = (0..side * side).flat_map(pixel).collect();
            write_ppm(folder.join(class).join(format!("{i}.jpg")), side, side, &pixels);
        }
    }
}
