//! `-o -`: one split to standard output.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::Range;

use torchmill::{Error, Result, cli};

use crate::config::Config;
use crate::contents::Contents;
use crate::format::Stream;
use crate::job::Job;
use crate::{auto_normalize, bake, digest, ranges, report};

/// Streams the only job. Shards follow one another; every other format is one file.
pub fn write(jobs: &mut [Job], contents: &Contents, config: &Config) -> Result<()> {
    let format = config.format.as_ref();
    if format.is_binary() && io::stdout().is_terminal() {
        return Err(Error::usage(
            "standard output is a terminal: pipe it into a program or a file",
        ));
    }
    let job = only(jobs)?;
    let files = job.files(config.shard_size);
    // Only shards hold a digest.
    let digest = if format.describes_itself() {
        digest::of(job, format, files.len(), contents)
    } else {
        String::new()
    };
    auto_normalize::fill_in(jobs, config)?;
    let job = only(jobs)?;
    let written = stream(job, &files, &digest, config, cli::stdout())?;
    report::written(job, format, written, 1, "");
    Ok(())
}

fn only<'a, 'b>(jobs: &'b [Job<'a>]) -> Result<&'b Job<'a>> {
    if let [job] = jobs {
        return Ok(job);
    }
    let splits: Vec<_> = jobs.iter().map(|job| job.split.as_str()).collect();
    Err(Error::usage(format_args!(
        "standard output takes one split: give --split {}",
        splits.join(" or --split ")
    )))
}

/// Returns how many images were written.
fn stream(
    job: &Job,
    files: &[Range<usize>],
    digest: &str,
    config: &Config,
    out: impl Write,
) -> Result<usize> {
    let format = config.format.as_ref();
    let part = config.part.map_or(0..files.len(), |part| part.share(files.len()));
    let ours = &files[part.clone()];
    let place = |e: Error| e.within("standard output");
    let labels = ours.iter().cloned().flatten().map(|i| job.label(i)).collect();
    // In the format `shard` each chunk is a shard. In the others chunks are joined, and
    // small ones reach the reader sooner.
    let chunks = if format.begins_with_count() {
        ours.iter().flat_map(|file| ranges::chunks(file, job.image_bytes())).collect()
    } else {
        ours.to_vec()
    };
    let mut written = 0;
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut stream = Stream::start(format, job, labels, out).map_err(place)?;
    bake::in_order(job, format, &chunks, |i, chunk| {
        written += chunk.labels.len();
        let meta = || digest::meta(job, part.start + i, files.len(), digest);
        stream.write(chunk, &meta).map_err(place)
    })?;
    stream.finish().map_err(place)?;
    Ok(written)
}
