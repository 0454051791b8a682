//! `evaluate`: evaluates checkpoints on shards or images and prints a report, or compares
//! runs.
//!
//! This program checks the command line and compares runs. The one that is linked to
//! libtorch, torch.rs, evaluates.

use std::process::ExitCode;

use evaluate::args::Args;
use evaluate::config::Command;
use evaluate::{BUILT_WITH, compare};
use torchmill::{Result, cli, libtorch};

fn main() -> ExitCode {
    cli::front(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    match Command::new(args)? {
        Command::Compare(config) => compare::run(&config),
        Command::Evaluate(_) => libtorch::become_half("evaluate", BUILT_WITH),
    }
}
