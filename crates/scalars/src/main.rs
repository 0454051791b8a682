//! scalars: CSV metrics into TensorBoard event files, and back.

mod args;
mod beside;
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
mod plot;
mod runs;
mod sink;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;

use torchmill::{Error, Result};

use args::Args;
use convert::Destination;
use input::source::Source;

fn main() -> ExitCode {
    torchmill::cli::main(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    let options = args.table_options();
    if args.dump {
        return dump::dump(&args.inputs, &options.select, std::io::stdout().lock());
    }
    let draws = args.plot || args.html.is_some();
    // Who wants to look at curves gets event files only on request.
    let writes = !draws || args.histograms || args.images;
    let logdir = args.logdir.or_else(|| writes.then(|| PathBuf::from("logs")));
    let destination = logdir.map(|logdir| Destination {
        logdir,
        run: args.run.clone(),
        encoding: args.encoding,
    });
    if let (true, Some(destination)) = (args.follow, &destination) {
        return follow::follow(|| Source::all(&args.inputs), destination, &options);
    }
    let sources = Source::all(&args.inputs)?;
    if sources.is_empty() {
        let folders: Vec<String> =
            args.inputs.iter().map(|path| path.display().to_string()).collect();
        let events = |folder: &PathBuf| {
            walk::files(folder, |name| name.contains(dump::EVENT_FILE))
        };
        let hint = match args.inputs.iter().find_map(|folder| events(folder).ok()?.pop())
        {
            Some(_) => ", but there are event files: --dump prints them as CSV",
            None => "",
        };
        return Err(Error::failed(format_args!(
            "there is no metrics.csv in or below {}{hint}",
            folders.join(", ")
        )));
    }
    if draws {
        let charts = curves::read(&sources, args.run.as_deref(), &options)?;
        if args.plot {
            torchmill::cli::print(
                plot::draw(&charts, plot::Look::of_stdout()).as_bytes(),
            )?;
        }
        if let Some(path) = &args.html {
            html::write(&charts, path)?;
        }
    }
    let Some(destination) = destination else { return Ok(()) };
    convert::convert(&sources, &destination, &options)?;
    let beside =
        [(args.histograms, histograms::CHECKPOINTS), (args.images, images::SAMPLES)];
    for (_, kind) in beside.iter().filter(|(asked, _)| *asked) {
        kind.write(&sources, &destination)?;
    }
    Ok(())
}
