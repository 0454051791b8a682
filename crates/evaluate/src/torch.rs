//! `evaluate-torch`: does the work of `evaluate` and is linked to libtorch.

mod class_report;
mod classes;
mod collector;
mod export;
mod html;
mod images;
mod label_errors;
mod network;
mod outcome;
mod predictions;
mod report;
mod run_folder;
mod samples;
mod shards;

use evaluate::args::Args;
use evaluate::config::{Command, Config};
use evaluate::{args, compare, config, csv_table, inputs, text};
use torchmill::{Result, cli, memory, parallel, progress};
use torchmill_nn::exit;

use outcome::Outcome;

fn main() {
    memory::keep_freed();
    exit::at_once(cli::status(|args: &Args| &args.common, run))
}

fn run(args: Args) -> Result<()> {
    match Command::new(args)? {
        Command::Compare(config) => compare::run(&config),
        Command::Evaluate(config) => {
            parallel::start_pool()?;
            evaluate(&config)
        }
    }
}

fn evaluate(config: &Config) -> Result<()> {
    if let Some(export) = &config.export {
        return export::write(config, export);
    }
    if config.samples.is_some() {
        samples::check_names(&config.checkpoints)?;
    }
    let mut outcomes = Vec::new();
    // Results from before an error are still reported.
    let result = if config.images.is_empty() {
        shards::evaluate(config, &mut outcomes)
    } else {
        images::evaluate(config, &mut outcomes)
    };
    if outcomes.is_empty() {
        return result;
    }
    report(config, &outcomes).and(result)
}

fn report(config: &Config, outcomes: &[Outcome]) -> Result<()> {
    if config.writes_to_stdout() {
        // The report must not be mixed with other data on standard output.
        progress::note(report::text(outcomes, config).trim_end());
        return Ok(());
    }
    report::print(outcomes, config)
}
