//! `evaluate`: saved checkpoints and shards or images in, a report out; or a table of
//! runs. This half reads the command line and refuses what is wrong with it; the one that
//! is linked with libtorch, torch.rs, does the work.

use std::process::ExitCode;

use evaluate::args::Args;
use evaluate::inputs::Inputs;
use evaluate::{BUILT_WITH, compare};
use torchmill::{Result, cli, libtorch};

fn main() -> ExitCode {
    cli::front(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    if args.compare {
        return compare::run(&args);
    }
    Inputs::sort(&args)?;
    libtorch::become_half("evaluate", BUILT_WITH)
}
