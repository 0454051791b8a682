//! What is to be done for each split, decided and checked before anything is written.

use torchmill::dataset::{Dataset, Sample};
use torchmill::transform::{self, Pipeline};
use torchmill::{Result, progress};

use crate::args::Args;
use crate::bake::Job;
use crate::format::{self, encode::Encoding};
use crate::pipelines::{Cut, Pipelines};

/// A job for each split: its pipeline cut, its first image baked to learn the size.
pub fn plan<'a>(set: &'a Dataset, splits: &[String], args: &Args) -> Result<Vec<Job<'a>>> {
    let dtype = args.pipeline.dtype.dtype();
    let encoding = format::encoding(args.output.format, args.output.tar_image, dtype)?;
    let pipelines = Pipelines::new(&args.pipeline)?;
    let job = |split: &String| {
        let mut job = Job {
            set,
            split: split.clone(),
            samples: set.splits.get(split).cloned().unwrap_or_default(),
            cut: pipelines.cut(split, dtype)?,
            dtype,
            seed: args.select.seed,
            encoding,
            shape: [0; 3],
            first: String::new(),
        };
        learn_shape(&mut job)?;
        Ok(job)
    };
    splits.iter().map(job).collect()
}

/// Bakes the first image: its shape is what all others must have, and what is left of the pipeline must be
/// able to take it.
fn learn_shape(job: &mut Job) -> Result<()> {
    let Some(&first) = job.samples.first() else { return Ok(()) };
    job.first = job.set.place(first);
    if job.encoding == Encoding::JsonLine {
        return Ok(());
    }
    let baked = job.bake(first, 0)?;
    job.shape = baked.shape();
    let mut rng = transform::rng(job.seed, 0, 0);
    let left = job.cut.deferred.apply(baked, &mut rng);
    left.map(drop).map_err(|e| e.within(format_args!("{} (left to train)", job.cut.deferred)))
}

/// Says what was written and what is left to do.
pub fn report(job: &Job, files: usize, done: &str) {
    let [channels, height, width] = job.shape;
    let what = match job.encoding {
        Encoding::JsonLine => "a line each".to_owned(),
        Encoding::Png => "as PNG".to_owned(),
        Encoding::Jpg => "as JPEG".to_owned(),
        _ => format!("of [{channels}, {height}, {width}] {}", job.dtype.name()),
    };
    progress::note(format_args!(
        "{}: {} images {what}, {} classes, in {files} {}{done}",
        job.split,
        progress::count(job.len() as u64),
        job.set.classes.len(),
        if files == 1 { "file" } else { "files" },
    ));
    let Cut { baked, deferred, .. } = &job.cut;
    if job.encoding != Encoding::JsonLine {
        progress::note(format_args!(
            "  baked: {}; left to train: {}",
            or_nothing(baked),
            or_nothing(deferred)
        ));
    }
}

fn or_nothing(pipeline: &Pipeline) -> String {
    if pipeline.steps().is_empty() { "nothing".to_owned() } else { pipeline.to_string() }
}

/// The labels of these samples.
pub fn labels(samples: &[Sample]) -> Vec<i64> {
    samples.iter().map(|s| s.label.into()).collect()
}
