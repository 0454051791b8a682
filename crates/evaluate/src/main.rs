//! `evaluate`: saved checkpoints and shards or images in, a report out; or a table of runs.

mod args;
mod collect;
mod compare;
mod figures;
mod html;
mod images;
mod inputs;
mod network;
mod outcome;
mod predictions;
mod probabilities;
mod report;
mod shards;
mod text;

use std::path::Path;
use std::process::ExitCode;

use args::Args;
use inputs::Inputs;
use torchmill::{Error, Result, cli, memory, progress};

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    if args.compare {
        return compare::run(&args);
    }
    let inputs = Inputs::sort(&args.inputs)?;
    for (name, file) in [("--predictions", &args.predictions), ("--html", &args.html)] {
        if file.is_some() && inputs.checkpoints.len() > 1 {
            return Err(Error::usage(format_args!("{name} takes one checkpoint at a time")));
        }
    }
    let outcomes = match &inputs.images[..] {
        [] => shards::evaluate(&args, &inputs.checkpoints)?,
        // Without labels there is nothing to report: what the images are has been printed.
        places => match images::classify(&args, &inputs.checkpoints[0], places)? {
            Some(outcome) => vec![outcome],
            None => return Ok(()),
        },
    };
    // The report must not run into predictions on the same stream.
    if args.predictions.as_deref() == Some(Path::new("-")) {
        progress::note(report::text(&outcomes, &args).trim_end());
        return Ok(());
    }
    report::print(&outcomes, &args)
}
