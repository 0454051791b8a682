//! `train-torch`: the half of `train` that is linked with libtorch, and does the work.

mod best_tracker;
mod budget;
mod config;
mod data;
mod display;
mod find_lr;
mod initial_weights;
mod loss_log;
mod resume;
mod resume_point;
mod run_log;
mod same_recipe;
mod summary;
mod trainer;
mod training_model;
mod validation;

use torchmill::{Result, cli, memory, parallel, progress};
use torchmill_nn::exit;
use train::args;
use train::args::Args;

fn main() {
    memory::keep_freed();
    exit::at_once(cli::status(|args: &Args| &args.common, run))
}

fn run(args: Args) -> Result<()> {
    parallel::start_pool()?;
    if args.summary {
        return summary::print(&args);
    }
    if let Some(file) = &args.find_lr {
        return find_lr::run(&args, file.as_deref());
    }
    let mut config = config::resolve(&args)?;
    let data = data::Data::open(&mut config.recipe, args.data.is_some())?
        .on(config.device, config.recipe.train.precision)?;
    let mut trainer = trainer::Trainer::new(config, &data)?;
    let last = trainer.run(&data)?;
    progress::note(format_args!("the run is in {}", trainer.run_dir().path().display()));
    cli::print(format!("{}\n", last.display()).as_bytes())
}
