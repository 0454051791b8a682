//! The digest by which prep recognises that an earlier run wrote the same files.

use sha2::{Digest, Sha256};
use torchmill::shard::Meta;

use crate::WRITER;
use crate::contents::Contents;
use crate::format::Format;
use crate::job::Job;

/// SHA-256, in hexadecimal, over everything that decides what is written for a split: the
/// images' bytes, sources and labels, the classes, the pipeline and which part is baked,
/// the element type, the format, the number of files, and prep's version.
pub fn of(job: &Job, format: &dyn Format, files: usize, contents: &Contents) -> String {
    let mut hash = Sha256::new();
    for setting in settings(job, format, files) {
        hash.update((setting.len() as u64).to_le_bytes());
        hash.update(setting);
    }
    let hashes_of = |split: &str| contents.get(split).map_or(&[][..], Vec::as_slice);
    job.set.digest(job.samples, hashes_of(&job.split), &mut hash);
    if job.pipeline.needs_statistics()
        && job.split != "train"
        && let Some(train) = job.set.splits.get("train")
    {
        job.set.digest(train, hashes_of("train"), &mut hash);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings(job: &Job, format: &dyn Format, files: usize) -> [String; 12] {
    // The seed only matters if a random step is baked. The images that it selected are
    // hashed themselves.
    let seed =
        if job.pipeline.baked.is_random() { job.seed.to_string() } else { String::new() };
    [
        WRITER.to_owned(),
        job.split.clone(),
        job.pipeline.whole.to_string(),
        job.pipeline.baked.to_string(),
        job.dtype.name().to_owned(),
        format!("{} {}", job.storage.field_name(), job.storage.version()),
        format.settings(),
        files.to_string(),
        job.copies.to_string(),
        seed,
        format!("skips bad images: {}", job.bad.is_some()),
        format!("strict: {}", job.strict),
    ]
}

/// The header of shard `index` of `files`.
pub fn meta(job: &Job, index: usize, files: usize, digest: &str) -> Meta {
    Meta {
        dataset: job.set.name.clone(),
        split: job.split.clone(),
        classes: job.set.classes.clone(),
        pipeline: job.pipeline.whole.to_string(),
        baked: job.pipeline.baked.to_string(),
        deferred: job.pipeline.deferred.to_string(),
        index: index as u32,
        shards: files as u32,
        digest: digest.to_owned(),
        writer: WRITER.to_owned(),
    }
}
