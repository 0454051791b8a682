//! prep: raw images in, tensor shards (or a stream) out.

mod args;
mod auto_normalize;
mod bake;
mod braces;
mod config;
mod contents;
mod digest;
mod duplicates;
mod elements;
mod file_names;
mod files;
mod format;
mod input;
mod inspect;
mod job;
mod jpeg_file;
mod output_dir;
mod pipelines;
mod plan;
mod planned;
mod preview;
mod ranges;
mod report;
mod show;
mod sidecar;
mod stale;
mod statistics;
mod stats;
mod storage;
mod stream;

use std::process::ExitCode;

use args::{Args, Duplicates};
use config::{Command, Config, Output};
use contents::Contents;
use torchmill::dataset::Dataset;
use torchmill::{Result, cli, memory, parallel};

/// The program that wrote a file, for its header.
const WRITER: &str = concat!("prep ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(|a: &Args| &a.common, run)
}

fn run(args: Args) -> Result<()> {
    match Command::new(args)? {
        Command::Inspect(config) => inspect::print(&config),
        Command::Prepare(config) => prepare(&config),
    }
}

fn prepare(config: &Config) -> Result<()> {
    parallel::start_pool()?;
    let mut set = input::open(config)?;
    config.check_outputs(&set)?;
    let contents = read_contents(&mut set, config)?;
    let mut jobs = plan::jobs(&set, &contents, config)?;
    if let Some(path) = &config.preview {
        preview::write(path, &mut jobs, config)?;
    } else if let Some(index) = config.show {
        show::print(index, &mut jobs, config)?;
    }
    match &config.output {
        Output::None => return Ok(()),
        Output::Statistics { as_json } => stats::print(&jobs, *as_json)?,
        Output::Folder(folder) => {
            output_dir::write(folder, &mut jobs, &contents, config)?;
        }
        Output::Stream => stream::write(&mut jobs, &contents, config)?,
    }
    report::problems(&jobs, config)
}

/// Reads every image of the data set if that is needed, for the digest of files and
/// shards or to find duplicates. A stream in another format starts at once, unless
/// duplicates must be found.
fn read_contents(set: &mut Dataset, config: &Config) -> Result<Contents> {
    let writes_digest = match config.output {
        Output::Folder(_) => true,
        Output::Stream => config.format.describes_itself(),
        Output::None | Output::Statistics { .. } => false,
    };
    if !writes_digest && config.duplicates == Duplicates::Warn {
        return Ok(Contents::new());
    }
    let mut contents = contents::read(set, config.skip_bad.is_some())?;
    duplicates::check(set, &mut contents, config.duplicates)?;
    Ok(contents)
}
