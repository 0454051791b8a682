//! `evaluate-torch`: the half of `evaluate` that is linked with libtorch, and does the
//! work.

mod collect;
mod figures;
mod html;
mod images;
mod network;
mod outcome;
mod predictions;
mod report;
mod samples;
mod shards;
mod tables;

use evaluate::args::Args;
use evaluate::inputs::Inputs;
use evaluate::{args, csv_table, inputs, text};
use std::path::Path;
use torchmill::{Result, cli, memory, progress};
use torchmill_nn::exit;

fn main() {
    memory::keep_freed();
    exit::at_once(cli::status(|args: &Args| &args.common, run))
}

fn run(args: Args) -> Result<()> {
    let inputs = Inputs::sort(&args)?;
    if args.samples.is_some() {
        samples::check_names(&inputs.checkpoints)?;
    }
    let mut failed = Ok(());
    let outcomes = match &inputs.images[..] {
        [] => {
            let mut outcomes = Vec::new();
            failed = shards::evaluate(&args, &inputs.checkpoints, &mut outcomes);
            if outcomes.is_empty() {
                return failed;
            }
            outcomes
        }
        // Without labels there is nothing to report: what the images are has been
        // printed.
        places => match images::classify(&args, &inputs.checkpoints[0], places)? {
            Some(outcome) => vec![outcome],
            None => return Ok(()),
        },
    };
    // The report must not run into what else is on the same stream.
    if [&args.predictions, &args.html]
        .into_iter()
        .flatten()
        .any(|file| file == Path::new("-"))
    {
        progress::note(report::text(&outcomes, &args).trim_end());
        return failed;
    }
    report::print(&outcomes, &args).and(failed)
}
