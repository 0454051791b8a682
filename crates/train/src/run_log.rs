//! What `train` writes to run.jsonl.

use std::path::Path;
use std::time::Instant;

use torchmill::run::log::{End, Event, Outcome, Split, Start, Writer};
use torchmill::{Result, libtorch, time};
use torchmill_nn::device;
use torchmill_nn::loader::ShardData;
use torchmill_nn::precision;

use crate::budget::Completed;
use crate::config::Config;
use crate::data::Data;

/// The run.jsonl of this run, with the entry for this start.
pub struct RunLog {
    writer: Writer,
    started: Instant,
}

impl RunLog {
    /// Records the start.
    pub fn start(config: &Config, data: &Data, processes: u32) -> Result<Self> {
        let recipe = &config.recipe;
        let command = std::env::args_os().map(|a| a.to_string_lossy().into_owned());
        let start = Start {
            time: time::now_rfc3339(),
            command: command.collect(),
            folder: std::env::current_dir().ok().as_deref().map(text),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            pid: std::process::id(),
            program: format!("train {}", env!("CARGO_PKG_VERSION")),
            libtorch: libtorch::VERSION.to_owned(),
            device: device::name(config.device),
            processor: precision::processor().to_owned(),
            threads: tch::get_num_threads() as u64,
            processes,
            precision: Some(recipe.train.precision),
            seed: recipe.train.seed,
            shards: recipe.data.shards.as_deref().map(text),
            splits: splits(data),
            classes: data.train.set().meta().classes.clone(),
            resumed_from: config.resume.as_deref().map(text),
        };
        let writer = Writer::new(config.run_dir.log());
        writer.append(&Event::Start(Box::new(start)))?;
        Ok(Self { writer, started: Instant::now() })
    }

    /// Records how it ended, and what was completed by then.
    pub fn end(&self, outcome: Outcome, done: Completed) -> Result<()> {
        self.writer.append(&Event::End(End {
            time: time::now_rfc3339(),
            outcome,
            epoch: done.epochs,
            step: done.steps,
            seconds: self.started.elapsed().as_secs_f64(),
        }))
    }
}

/// The use of each split.
fn splits(data: &Data) -> Vec<Split> {
    let split = |purpose: &str, dataset: &ShardData| {
        let meta = dataset.set().meta();
        Split {
            purpose: purpose.to_owned(),
            split: meta.split.clone(),
            images: dataset.len(),
            digest: meta.digest.clone(),
        }
    };
    let mut splits = vec![split("train", &data.train), split(data.eval_name, &data.eval)];
    splits.extend(data.test.as_ref().map(|test| split("test", test)));
    splits
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
