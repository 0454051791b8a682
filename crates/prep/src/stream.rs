//! One split to standard output.

use std::io::{BufWriter, IsTerminal, Write};

use torchmill::{Error, Result};

use crate::args::{Args, Format};
use crate::bake::Job;
use crate::format::Stream;
use crate::{digest, job, work};

/// Streams the only job there is. Shards follow one another; every other format is one file.
pub fn write(jobs: &[Job], args: &Args) -> Result<()> {
    let [job] = jobs else {
        let splits: Vec<_> = jobs.iter().map(|j| j.split.as_str()).collect();
        return Err(Error::usage(format_args!(
            "standard output takes one split: give --split {}",
            splits.join(" or --split ")
        )));
    };
    let out = std::io::stdout().lock();
    if args.output.format.is_binary() && out.is_terminal() {
        return Err(Error::usage("standard output is a terminal: pipe it into a program or a file"));
    }
    let ranges = work::ranges(job.len(), job.image_bytes(), args.output.shard_size);
    // Only shards carry a digest, and only for them are the input files asked for their sizes and times.
    let digest = if args.output.format == Format::Shard {
        digest::of(job, ranges.len(), args)?
    } else {
        String::new()
    };
    let labels = job::labels(&job.samples);
    let place = |e: Error| e.within("standard output");
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut stream = Stream::start(args.output.format, job, &labels, out).map_err(place)?;
    work::run(job, &ranges, |i, chunk| {
        let meta = digest::meta(job, i, ranges.len(), &digest);
        stream.chunk(&chunk, &meta).map_err(place)
    })?;
    let mut out = stream.finish().map_err(place)?;
    out.flush().map_err(|e| Error::io("standard output: cannot write", &e))?;
    job::report(job, 1, "");
    Ok(())
}
