//! `train`: trains a network from shards and a recipe, and writes a run folder with
//! metrics and checkpoints. This program only checks the command line. The one that is
//! linked to libtorch, torch.rs, does the work.

use std::process::ExitCode;

use torchmill::{Error, Result, cli, libtorch, recipe};
use train::BUILT_WITH;
use train::args::Args;

fn main() -> ExitCode {
    cli::front(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    if let Some(name) = &args.print_recipe {
        let text = recipe::text(name).ok_or_else(|| recipe::unknown(name))?;
        return cli::print(text.as_bytes());
    }
    if let Some(stray) = &args.stray {
        let stray = stray.display();
        return Err(Error::usage(format_args!(
            "unexpected argument `{stray}`: if these are the shards, give --data {stray}"
        )));
    }
    // When a run resumes, its recipe is in its folder, which the other program reads.
    if args.resume.is_none() {
        args.override_recipe(&recipe::load(args.recipe())?)?;
    }
    libtorch::become_half("train", BUILT_WITH)
}
