//! scalars: converts CSV metrics to TensorBoard event files, and back.

mod args;
mod artifacts;
mod config;
mod convert;
mod curves;
mod dump;
mod event;
mod follow;
mod histograms;
mod hparams;
mod html;
mod images;
mod input;
mod names;
mod plot;
mod runs;
mod sink;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;

use torchmill::{Error, Result, cli, output};

use args::Args;
use config::{Config, Once};
use input::source::Source;

fn main() -> ExitCode {
    cli::main(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    match Config::new(args) {
        Config::Dump(task) => dump::dump(&task.inputs, &task.select, cli::stdout()),
        Config::Follow(task) => {
            follow::follow(|| Source::all(&task.inputs), &task.destination, &task.options)
        }
        Config::Once(task) => run_once(&task),
    }
}

fn run_once(task: &Once) -> Result<()> {
    let sources = Source::all(&task.inputs)?;
    if let Some(html) = &task.html {
        let files = sources.iter().filter_map(Source::path);
        let configs: Vec<PathBuf> =
            files.clone().map(|csv| csv.with_file_name(torchmill::run::CONFIG)).collect();
        let inputs = files.chain(configs.iter().map(PathBuf::as_path));
        output::check_not_input("--html", html, inputs)?;
    }
    if sources.is_empty() {
        return Err(no_metrics(&task.inputs));
    }
    if task.plot || task.html.is_some() {
        draw(task, &sources)?;
    }
    let Some(destination) = &task.destination else { return Ok(()) };
    convert::convert(&sources, destination, &task.options)?;
    for artifact in &task.artifacts {
        artifact.write(&sources, destination)?;
    }
    Ok(())
}

fn draw(task: &Once, sources: &[Source]) -> Result<()> {
    let curves = curves::read(sources, task.run.as_deref(), &task.options)?;
    if task.plot {
        cli::print_styled(&plot::draw(&curves.charts, plot::Look::of_stdout()))?;
    }
    if let Some(path) = &task.html {
        html::write(&curves, path)?;
    }
    Ok(())
}

/// The error for folders in which no metrics.csv was found.
fn no_metrics(folders: &[PathBuf]) -> Error {
    let names: Vec<String> =
        folders.iter().map(|path| path.display().to_string()).collect();
    let has_events = |folder: &PathBuf| {
        let found = walk::files(folder, |name| name.contains(event::FILE_MARK));
        found.is_ok_and(|files| !files.is_empty())
    };
    let hint = if folders.iter().any(has_events) {
        ", but there are event files: --dump prints them as CSV"
    } else {
        ""
    };
    Error::failed(format_args!(
        "there is no metrics.csv in or below {}{hint}",
        names.join(", ")
    ))
}
