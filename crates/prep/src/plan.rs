//! Plans the job of each split, and checks it before anything is written.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use torchmill::dataset::Dataset;
use torchmill::pixels::Layout;
use torchmill::shard::{DType, Storage};
use torchmill::{Error, Result, progress};

use crate::config::Config;
use crate::contents::Contents;
use crate::format::Images;
use crate::job::Job;
use crate::pipelines::SplitPipeline;
use crate::{input, storage};

/// A job for each split to write. Its first image is baked to learn the shape. `contents`
/// is empty if nothing is written that depends on it.
pub fn jobs<'a>(
    set: &'a Dataset,
    contents: &Contents,
    config: &Config,
) -> Result<Vec<Job<'a>>> {
    let splits = input::splits(set, &config.splits)?;
    let has_train = splits.iter().any(|split| split == "train");
    if config.augment.is_some() && !has_train {
        return Err(Error::usage(
            "--augment draws copies of the train split, which is not written",
        ));
    }
    if splits.len() > 1 && has_train {
        for warning in config.pipelines.warnings() {
            progress::note(format_args!("note: {warning}"));
        }
    }
    splits.iter().map(|split| job(set, split, contents, config)).collect()
}

fn job<'a>(
    set: &'a Dataset,
    split: &str,
    contents: &Contents,
    config: &Config,
) -> Result<Job<'a>> {
    // Random copies are only for training.
    let augment = config.augment.filter(|_| split == "train");
    let pipeline = config
        .pipelines
        .of_split(split, config.dtype, augment.is_some())
        .map_err(|e| e.within(split))?;
    if augment.is_some() && !pipeline.baked.is_random() {
        return Err(nothing_to_draw(&pipeline));
    }
    let mut job = Job {
        copies: augment.unwrap_or(1),
        dtype: config.dtype,
        layout: match config.format.images() {
            Images::Array(layout) => layout,
            Images::OneByOne(_) => Layout::ChannelsFirst,
        },
        needs_equal_sizes: config.format.needs_equal_sizes(),
        ..new_job(set, split, pipeline, config)
    };
    if config.format.has_pixels() {
        learn_shape(&mut job)?;
    }
    if let Some(contents) = contents.get(split) {
        let format = config.format.as_ref();
        let stored = if format.describes_itself() {
            storage::decide(&mut job, config.store, contents)
        } else if format.has_pixels() && !format.needs_equal_sizes() {
            storage::estimate(&mut job, format.copies_files(), contents)
        } else {
            Ok(())
        };
        stored.map_err(|e| e.within(split))?;
    }
    Ok(job)
}

/// A job for the train split's statistics, which are those of the uint8 images after the
/// deterministic steps at the start of the train pipeline.
pub fn statistics_job<'a>(set: &'a Dataset, config: &Config) -> Result<Job<'a>> {
    let pipeline = config.pipelines.of_split("train", DType::Uint8, false)?;
    let mut job = new_job(set, "train", pipeline, config);
    learn_shape(&mut job)?;
    Ok(job)
}

/// A job without copies that makes uint8 arrays.
fn new_job<'a>(
    set: &'a Dataset,
    split: &str,
    pipeline: SplitPipeline,
    config: &Config,
) -> Job<'a> {
    Job {
        set,
        split: split.to_owned(),
        samples: &set.splits[split],
        pipeline,
        copies: 1,
        dtype: DType::Uint8,
        layout: Layout::ChannelsLast,
        needs_equal_sizes: true,
        storage: Storage::Array,
        stored_bytes: Vec::new(),
        format: config.format.name(),
        seed: config.seed,
        shape: [0; 3],
        first: String::new(),
        strict: config.strict,
        overflowed: AtomicBool::new(false),
        bad: config.skip_bad.is_some().then(Mutex::default),
        warnings: Mutex::new(BTreeMap::new()),
    }
}

/// The error for `--augment` if no baked step is random.
fn nothing_to_draw(pipeline: &SplitPipeline) -> Error {
    let whole = &pipeline.whole;
    if whole.is_random() {
        return Error::usage(format_args!(
            "--augment: the random steps of `{whole}` come after ToTensor, which is left \
             to train while --dtype is uint8: add --dtype float32, or leave out \
             --augment"
        ));
    }
    Error::usage(format_args!(
        "--augment: nothing in `{whole}` is random, so all copies would be equal: add a \
         random transform, or leave out --augment"
    ))
}

/// Bakes the first image. All others must have its shape, and the deferred steps must
/// accept it.
fn learn_shape(job: &mut Job) -> Result<()> {
    let pipeline = job.pipeline.clone();
    // Statistics do not affect the shape. They are computed later, if anything is
    // written.
    job.pipeline = pipeline.with_statistics(&[0.0], &[1.0]);
    let mut baked = None;
    for i in 0..job.samples.len() {
        baked = job.unless_bad(i, job.bake(i))?;
        if baked.is_some() {
            job.first = job.location(i);
            break;
        }
    }
    let baked = baked.ok_or_else(|| {
        Error::failed(format_args!(
            "none of the {} images of the split `{}` can be read",
            job.len(),
            job.split
        ))
    })?;
    job.shape = baked.shape();
    let deferred = &job.pipeline.deferred;
    deferred
        .output(baked.spec())
        .map_err(|e| e.within(format_args!("{deferred} (left to train)")))?;
    job.pipeline = pipeline;
    // They are found again when the images are written.
    job.forget_problems();
    Ok(())
}
