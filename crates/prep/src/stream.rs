//! One split to standard output.

use std::io::{BufWriter, IsTerminal, Write};
use std::ops::Range;

use torchmill::{Error, Result, cli};

use crate::args::{Args, Format};
use crate::bake::Job;
use crate::contents::Contents;
use crate::files::CHUNK;
use crate::format::Stream;
use crate::{bake_ahead, digest, job};

/// Streams the only job there is. Shards follow one another; every other format is one
/// file.
pub fn write(mut jobs: Vec<Job>, contents: &Contents, args: &Args) -> Result<()> {
    if jobs.len() != 1 {
        let splits: Vec<_> = jobs.iter().map(|j| j.split.as_str()).collect();
        return Err(Error::usage(format_args!(
            "standard output takes one split: give --split {}",
            splits.join(" or --split ")
        )));
    }
    let format = args.output.format;
    if format.is_binary() && std::io::stdout().is_terminal() {
        return Err(Error::usage(
            "standard output is a terminal: pipe it into a program or a file",
        ));
    }
    if matches!(format, Format::Npy | Format::Safetensors)
        && args.select.skip_bad.is_some()
    {
        return Err(Error::usage(format_args!(
            "a stream of {} begins with the number of images, which --skip-bad leaves open: write files, or \
             another format",
            format.extension()
        )));
    }
    let [job] = &jobs[..] else { return Ok(()) };
    let ranges = bake_ahead::ranges(job.len(), job.image_bytes(), args.output.shard_size);
    // Only shards hold a digest.
    let digest = if format == Format::Shard {
        digest::of(job, ranges.len(), args, contents)
    } else {
        String::new()
    };
    job::fill_in_statistics(&mut jobs, args)?;
    let [job] = &jobs[..] else { return Ok(()) };
    let written = stream(job, &ranges, &digest, args, cli::stdout())?;
    job::report(job, written, 1, "");
    args.select.skip_bad.as_ref().map_or(Ok(()), |path| job::list_bad(&jobs, path))
}

/// Returns how many images were written.
fn stream(
    job: &Job,
    ranges: &[Range<usize>],
    digest: &str,
    args: &Args,
    out: impl Write,
) -> Result<usize> {
    let files = args.output.part.map_or(0..ranges.len(), |part| part.of(ranges.len()));
    let place = |e: Error| e.within("standard output");
    let labels: Vec<i64> = ranges[files.clone()]
        .iter()
        .cloned()
        .flatten()
        .map(|i| job.sample(i).label.into())
        .collect();
    let mut written = 0;
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut stream =
        Stream::start(args.output.format, job, labels, out).map_err(place)?;
    // A chunk is a shard if shards are written. All else runs together, and the less of it
    // there is at a time, the sooner it comes out.
    let chunks = match args.output.format {
        Format::Safetensors | Format::Npy => ranges[files.clone()]
            .iter()
            .flat_map(|range| {
                bake_ahead::smaller(range, job.image_bytes(), CHUNK.0, CHUNK.1)
            })
            .collect(),
        _ => ranges[files.clone()].to_vec(),
    };
    bake_ahead::run(job, &chunks, |i, chunk| {
        written += chunk.labels.len();
        let meta = || digest::meta(job, files.start + i, ranges.len(), digest);
        stream.chunk(chunk, &meta).map_err(place)
    })?;
    stream.finish().map_err(place)?;
    Ok(written)
}
