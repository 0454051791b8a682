//! `train`: shards and a recipe in, a run folder with metrics and checkpoints out.

mod args;
mod data;
mod display;
mod folder;
mod goal;
mod lock;
mod plan;
mod record;
mod resume;
mod session;
mod step;
mod summary;
mod validation;
mod watch;

use std::process::ExitCode;

use args::Args;
use torchmill::{Result, cli, memory, progress, recipe};

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
    let mut plan = plan::resolve(&args)?;
    let data = data::Data::open(&mut plan.recipe)?;
    let mut session = session::Session::start(plan, &data)?;
    let last = session.run(&data)?;
    progress::note(format_args!("the run is in {}", session.folder().path().display()));
    cli::print(format!("{}\n", last.display()).as_bytes())
}
