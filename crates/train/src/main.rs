//! `train`: shards and a recipe in, a run folder with metrics and checkpoints out.

mod args;
mod folder;
mod plan;
mod resume;
mod session;
mod step;
mod summary;

use std::process::ExitCode;

use args::Args;
use torchmill::{Result, cli, progress, recipe};
use torchmill_nn::memory;

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    if let Some(name) = &args.print_recipe {
        let text = recipe::text(name).ok_or_else(|| recipe::unknown(name))?;
        return cli::print(text.as_bytes());
    }
    if args.summary {
        return summary::print(&args);
    }
    let plan = plan::resolve(&args)?;
    let data = plan.open_data()?;
    let mut session = session::Session::start(plan, &data)?;
    let last = session.train(&data)?;
    progress::note(format_args!("the run is in {}", session.folder().path().display()));
    cli::print(format!("{}\n", last.display()).as_bytes())
}
