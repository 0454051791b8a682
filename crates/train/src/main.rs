//! `train`: shards and a recipe in, a run folder with metrics and checkpoints out. This
//! half reads the command line and refuses what is wrong with it; the one that is linked
//! with libtorch, torch.rs, does the work.

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
    // A run that goes on has its recipe in its folder, which is the other half's.
    if args.resume.is_none() {
        args.override_recipe(&recipe::load(args.recipe())?)?;
    }
    libtorch::become_half("train", BUILT_WITH)
}
