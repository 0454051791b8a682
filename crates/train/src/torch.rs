//! `train-torch`: the half of `train` that is linked with libtorch, and does the work.

mod data;
mod display;
mod find;
mod folder;
mod goal;
mod lock;
mod plan;
mod record;
mod resume;
mod same_recipe;
mod session;
mod step;
mod summary;
mod validation;
mod watch;

use torchmill::{Result, cli, memory, progress};
use torchmill_nn::exit;
use train::args;
use train::args::Args;

fn main() {
    memory::keep_freed();
    exit::at_once(cli::status(|args: &Args| &args.common, run))
}

fn run(args: Args) -> Result<()> {
    if args.summary {
        return summary::print(&args);
    }
    let mut plan = plan::resolve(&args)?;
    let data = data::Data::open(&mut plan.recipe, args.data.is_some())?
        .on(plan.device, plan.recipe.train.precision)?;
    let mut session = session::Session::start(plan, &data)?;
    let last = session.run(&data)?;
    progress::note(format_args!("the run is in {}", session.folder().path().display()));
    cli::print(format!("{}\n", last.display()).as_bytes())
}
