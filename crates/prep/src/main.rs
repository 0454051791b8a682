//! prep: raw images in, tensor shards (or a stream) out.

mod args;
mod bake;
mod bake_ahead;
mod contents;
mod digest;
mod duplicates;
mod files;
mod format;
mod input;
mod inspect;
mod job;
mod output_dir;
mod pipelines;
mod preview;
mod sidecar;
mod stale;
mod stats;
mod stream;

use std::path::Path;
use std::process::ExitCode;

use args::{Args, Duplicates, Format};
use contents::Contents;
use torchmill::dataset::Dataset;
use torchmill::{Result, cli, memory};

/// Who writes: what goes into headers.
const WRITER: &str = concat!("prep ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(|a: &Args| &a.common, |args| run(&args))
}

fn run(args: &Args) -> Result<()> {
    if !args.inspect.is_empty() {
        return inspect::files(&args.inspect, args.json);
    }
    let mut set = input::open(args)?;
    let contents = look_for_duplicates(&mut set, args)?;
    let splits = input::splits(&set, &args.select.split)?;
    let mut jobs = job::plan(&set, &splits, args)?;
    if let Some(path) = &args.preview {
        preview::write(&mut jobs, args, path)?;
    }
    if args.stats {
        stats::print(&jobs, args.json)?;
        return args
            .select
            .skip_bad
            .as_ref()
            .map_or(Ok(()), |path| job::list_bad(&jobs, path));
    }
    match args.out.as_deref() {
        None if args.preview.is_some() => Ok(()),
        Some(out) if out != Path::new("-") => {
            output_dir::write(out, jobs, &contents, args)
        }
        _ => stream::write(jobs, &contents, args),
    }
}

/// Reads every image of the data set once, where something depends on their content: what
/// files and shards are made from, and whether images are there more than once. A stream
/// of another format begins at once, unless duplicates are asked for.
fn look_for_duplicates(set: &mut Dataset, args: &Args) -> Result<Contents> {
    let action = args.select.duplicates;
    let writes_files = args.out.as_deref().is_some_and(|out| out != Path::new("-"));
    let writes_shards = args.out.is_some() && args.output.format == Format::Shard;
    if !writes_files && !writes_shards && action == Duplicates::Warn {
        return Ok(Contents::new());
    }
    let mut contents = contents::read(set, args.select.skip_bad.is_some())?;
    duplicates::check(set, &mut contents, action)?;
    Ok(contents)
}
