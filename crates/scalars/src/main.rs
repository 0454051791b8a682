//! scalars: CSV metrics into TensorBoard event files, and back.

mod args;
mod convert;
mod csv;
mod event;
mod runs;

use std::process::ExitCode;

use torchmill::Result;

use args::Args;
use csv::source::Source;

fn main() -> ExitCode {
    torchmill::cli::main(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    let sources: Vec<Source> = args.inputs.iter().map(|path| Source::new(path)).collect();
    let jobs = convert::jobs(&sources, &args.logdir, args.run.as_deref(), args.encoding)?;
    convert::convert(&jobs, &args.table_options())
}
