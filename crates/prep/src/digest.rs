//! What makes two runs of prep the same run.

use sha2::{Digest, Sha256};
use torchmill::shard::{self, Meta};

use crate::WRITER;
use crate::args::Args;
use crate::bake::Job;
use crate::contents::Contents;

/// SHA-256, in hexadecimal, over all that decides what is written for a split: the images'
/// bytes, sources and labels, the classes, the pipeline and how it is cut, the element
/// type, the format, the number of files, and the version of prep and of the shard format.
pub fn of(job: &Job, files: usize, args: &Args, contents: &Contents) -> String {
    let mut hash = Sha256::new();
    let settings = [
        WRITER.to_owned(),
        shard::VERSION.to_string(),
        job.split.clone(),
        job.cut.whole.to_string(),
        job.cut.baked.to_string(),
        job.dtype.name().to_owned(),
        args.output.format.extension().to_owned(),
        format!("{:?}", job.encoding),
        files.to_string(),
        job.copies.to_string(),
        // What is drawn depends on it; nothing else does but for the choice of samples,
        // which is hashed below.
        if job.cut.baked.is_random() { job.seed.to_string() } else { String::new() },
        job.bad.is_some().to_string(),
    ];
    for setting in settings {
        hash.update((setting.len() as u64).to_le_bytes());
        hash.update(setting);
    }
    let hashes_of = |split: &str| contents.get(split).map_or(&[][..], Vec::as_slice);
    job.set.digest(&job.samples, hashes_of(&job.split), &mut hash);
    if job.cut.needs_statistics()
        && job.split != "train"
        && let Some(train) = job.set.splits.get("train")
    {
        job.set.digest(train, hashes_of("train"), &mut hash);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What file `index` of `files` says of its images.
pub fn meta(job: &Job, index: usize, files: usize, digest: &str) -> Meta {
    Meta {
        dataset: job.set.name.clone(),
        split: job.split.clone(),
        classes: job.set.classes.clone(),
        pipeline: job.cut.whole.to_string(),
        baked: job.cut.baked.to_string(),
        deferred: job.cut.deferred.to_string(),
        index: index as u32,
        shards: files as u32,
        digest: digest.to_owned(),
        writer: WRITER.to_owned(),
    }
}
