//! run.jsonl: when, where, by what program and on what data a run was made. A line is
//! added each time `train` starts in the folder and each time it ends; a run that was
//! killed leaves no end.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};
use torchmill::{Context, Error, Result, libtorch};
use torchmill_nn::device;
use torchmill_nn::loader::Dataset;

use crate::budget::Completed;
use crate::config::Config;
use crate::data::Data;

const FILE: &str = "run.jsonl";

/// A run.jsonl that is being added to.
pub struct RunLog {
    path: PathBuf,
    started: Instant,
}

impl RunLog {
    /// Writes down what starts.
    pub fn start(config: &Config, data: &Data) -> Result<Self> {
        let path = config.run_dir.path().join(FILE);
        let log = Self { path, started: Instant::now() };
        let arguments: Vec<String> =
            std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
        log.append(json!({
            "event": "start",
            "time": time(),
            "command": arguments,
            "folder": std::env::current_dir().ok().as_deref().map(text),
            "host": gethostname::gethostname().to_string_lossy(),
            "pid": std::process::id(),
            "program": format!("train {}", env!("CARGO_PKG_VERSION")),
            "libtorch": libtorch::VERSION,
            "device": device::name(config.device),
            "threads": tch::get_num_threads(),
            "precision": config.recipe.train.precision,
            "seed": config.recipe.train.seed,
            "shards": config.recipe.data.shards.as_deref().map(text),
            "splits": splits(data),
            "resumed_from": config.resume.as_deref().map(text),
        }))?;
        Ok(log)
    }

    /// Writes down how it ended, and what had been done by then.
    pub fn end(&self, outcome: &str, done: Completed) -> Result<()> {
        self.append(json!({
            "event": "end",
            "time": time(),
            "outcome": outcome,
            "epoch": done.epochs,
            "step": done.steps,
            "seconds": self.started.elapsed().as_secs_f64(),
        }))
    }

    fn append(&self, line: Value) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .doing("open", &self.path)?;
        let text = serde_json::to_string(&line).map_err(Error::failed)?;
        // One call, so that a line is there whole or not at all.
        file.write_all(format!("{text}\n").as_bytes()).doing("write", &self.path)
    }
}

/// What each split is used for. A part of the training split may be validated on.
fn splits(data: &Data) -> Vec<Value> {
    let split = |purpose: &str, dataset: &Dataset| {
        let meta = dataset.set().meta();
        json!({
            "for": purpose,
            "split": meta.split,
            "images": dataset.len(),
            "digest": meta.digest,
        })
    };
    let mut splits = vec![split("train", &data.train), split(data.eval_name, &data.eval)];
    splits.extend(data.test.as_ref().map(|test| split("test", test)));
    splits
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Now, as in RFC 3339.
fn time() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
