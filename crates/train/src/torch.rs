//! `train-torch`: the program that is linked to libtorch and does the work of `train`.

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

use torchmill::launch::Launch;
use torchmill::{ErrorKind, Result, cli, memory, parallel, progress};
use torchmill_nn::distributed::Processes;
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
    let launch = Launch::from_environment()?;
    let is_restarted = launch.as_ref().is_some_and(|launch| launch.restarts > 0);
    let args = if is_restarted { config::restarted(args)? } else { args };
    let is_first = launch.as_ref().is_none_or(|launch| launch.rank == 0);
    if !is_first {
        // The first process reports what the others would report, too.
        progress::set_level(true, 0);
    }
    let processes = Processes::meet(launch, PROGRAM, args.timeout)?;
    let result = train(&args, &processes);
    let result = processes.end(result);
    match &result {
        // The first process reports the interruption for all of them.
        Err(e) if !is_first && e.kind() == ErrorKind::Interrupted => {
            exit::at_once(e.exit_status())
        }
        _ => result,
    }
}

/// What must be the same in all processes of a run.
const PROGRAM: &str =
    concat!("train ", env!("CARGO_PKG_VERSION"), " with libtorch 2.11.0");

fn train(args: &Args, processes: &Processes) -> Result<()> {
    let mut config = config::resolve(args, processes)?;
    let data = data::Data::open(&mut config.recipe, args.data.is_some())?
        .on(config.device, config.recipe.train.precision)?;
    let mut trainer = trainer::Trainer::new(config, &data, processes)?;
    let last = trainer.run(&data)?;
    if !processes.is_first() {
        return Ok(());
    }
    progress::note(format_args!("the run is in {}", trainer.run_dir().path().display()));
    cli::print(format!("{}\n", last.display()).as_bytes())
}
