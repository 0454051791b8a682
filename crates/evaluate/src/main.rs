//! `evaluate`: saved checkpoints and shards in, a report out.

mod args;
mod network;
mod predictions;
mod report;

use std::process::ExitCode;

use args::Args;
use predictions::Predictions;
use torchmill::recipe::Loss;
use torchmill::{Error, Result, cli, progress};
use torchmill_nn::loader::Dataset;
use torchmill_nn::{device, evaluation, memory, precision};

fn main() -> ExitCode {
    memory::keep_freed();
    cli::main(|args: &Args| &args.common, run)
}

fn run(args: Args) -> Result<()> {
    let device = device::resolve(&args.device)?;
    let kind = precision::kind(precision::resolve(args.precision, device));
    if args.predictions.is_some() && args.checkpoints.len() > 1 {
        return Err(Error::usage("--predictions takes one checkpoint at a time"));
    }
    let mut results = Vec::new();
    let mut opened: Option<(std::path::PathBuf, Dataset)> = None;
    for path in &args.checkpoints {
        let folder = network::data_folder(&args, path)?;
        let dataset = match opened.take().filter(|(open, _)| *open == folder) {
            Some((_, dataset)) => dataset,
            None => Dataset::open(&folder, &args.split)?,
        };
        let (model, spec) = network::load(&args, path, &dataset, device)?;
        let mut predictions =
            args.predictions.as_deref().map(|p| Predictions::create(p, &spec.classes)).transpose()?;
        let batch_size = args.batch_size.map_or(spec.batch_size, |n| n as usize);
        let loss = Loss::CrossEntropyLoss { label_smoothing: 0.0 };
        let result = evaluation::evaluate(&model, &dataset, &loss, batch_size, kind, |i, logits| {
            predictions.as_mut().map_or(Ok(()), |p| p.push(i, dataset.set(), logits))
        });
        let result = result.map_err(|e| e.within(path.display()))?;
        predictions.map_or(Ok(()), Predictions::finish)?;
        results.push(report::Row::new(path, &args.split, batch_size, &result));
        opened = Some((folder, dataset));
    }
    // The report must not run into predictions on the same stream.
    let predictions_on_stdout = args.predictions.as_deref().is_some_and(|p| p == std::path::Path::new("-"));
    if predictions_on_stdout {
        progress::note(report::text(&results).trim_end());
        return Ok(());
    }
    report::print(&results, args.format)
}
