//! prep: raw images in, tensor shards (or a stream) out.

mod args;
mod bake;
mod digest;
mod files;
mod folder;
mod format;
mod input;
mod inspect;
mod job;
mod pipelines;
mod preview;
mod sidecar;
mod stale;
mod stats;
mod stream;
mod work;

use std::path::Path;
use std::process::ExitCode;

use args::Args;
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
    let set = input::open(args)?;
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
        Some(out) if out != Path::new("-") => folder::write(out, jobs, args),
        _ => stream::write(jobs, args),
    }
}
