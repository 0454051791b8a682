//! run.jsonl: when, where, by what program and on what data a run was made. A line is
//! added each time `train` starts on the folder and each time it ends; one that was
//! killed leaves no end.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};
use torchmill::{Context, Error, Result, libtorch};
use torchmill_nn::device;

use crate::data::Data;
use crate::plan::Plan;

const RECORD: &str = "run.jsonl";

/// What is written down of a run.
pub struct Record {
    path: PathBuf,
    started: Instant,
}

impl Record {
    /// Writes down what starts.
    pub fn start(plan: &Plan, data: &Data) -> Result<Self> {
        // A part of the training split may be what is validated on.
        let shards = |used_for: &str, dataset: &torchmill_nn::loader::Dataset| {
            let meta = dataset.set().meta();
            json!({ "for": used_for, "split": meta.split, "images": dataset.len(), "digest": meta.digest })
        };
        let mut splits =
            vec![shards("train", &data.train), shards(data.eval_name, &data.eval)];
        splits.extend(data.test.as_ref().map(|test| shards("test", test)));
        let record =
            Self { path: plan.folder.path().join(RECORD), started: Instant::now() };
        let text = |path: &PathBuf| path.display().to_string();
        record.append(json!({
            "event": "start",
            "time": time(),
            "command": std::env::args().collect::<Vec<_>>(),
            "folder": std::env::current_dir().ok().as_ref().map(text),
            "host": gethostname::gethostname().to_string_lossy(),
            "pid": std::process::id(),
            "program": format!("train {}", env!("CARGO_PKG_VERSION")),
            "libtorch": libtorch::VERSION,
            "device": device::name(plan.device),
            "threads": tch::get_num_threads(),
            "precision": plan.recipe.train.precision,
            "seed": plan.recipe.train.seed,
            "shards": plan.recipe.data.shards.as_ref().map(text),
            "splits": splits,
            "resumed_from": plan.resume.as_ref().map(text),
        }))?;
        Ok(record)
    }

    /// Writes down how it ended, after so many epochs and steps.
    pub fn end(&self, outcome: &str, epoch: u64, step: u64) -> Result<()> {
        self.append(json!({
            "event": "end",
            "time": time(),
            "outcome": outcome,
            "epoch": epoch,
            "step": step,
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

/// Now, as in RFC 3339.
fn time() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
