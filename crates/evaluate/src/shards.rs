//! Checkpoints on the shards of a split.

use std::path::{Path, PathBuf};

use torchmill::Result;
use torchmill::progress::{Progress, Unit};
use torchmill_nn::evaluation;
use torchmill_nn::loader::Dataset;

use crate::args::Args;
use crate::collect::Collector;
use crate::html;
use crate::network::{self, Arithmetic};
use crate::outcome::{On, Outcome};
use crate::samples;

/// Evaluates each checkpoint on the shards of its run, or of `--data`, and adds what it
/// found to `outcomes`: where one cannot be evaluated, those before it are there.
pub fn evaluate(
    args: &Args,
    checkpoints: &[PathBuf],
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    let arithmetic = Arithmetic::of(args)?;
    let mut opened: Option<(PathBuf, Dataset)> = None;
    for path in checkpoints {
        let folder = network::data_folder(args, path)?;
        let dataset = match opened.take().filter(|(open, _)| *open == folder) {
            Some((_, dataset)) => dataset,
            None => Dataset::open(&folder, &args.split)?,
        };
        outcomes.push(one(args, path, &dataset, arithmetic)?);
        opened = Some((folder, dataset));
    }
    Ok(())
}

fn one(
    args: &Args,
    path: &Path,
    dataset: &Dataset,
    arithmetic: Arithmetic,
) -> Result<Outcome> {
    let network = network::load(args, path, Some(dataset), arithmetic.device)?;
    network::check_data(path, &network.spec, dataset)?;
    let set = dataset.set();
    let mut collector =
        Collector::new(args, set.len(), &network.spec.classes, &*network.loss)?;
    let batch_size = args.batch_size.map_or(network.spec.batch_size, |n| n as usize);
    let mut bar =
        Progress::new("evaluating", Some(set.len() as u64), Unit::Count("images"));
    let kind = arithmetic.kind;
    let evaluation = evaluation::evaluate(
        &network.model,
        dataset,
        &*network.loss,
        batch_size,
        kind,
        |i, outputs| {
            bar.add(1);
            collector.push(i, set.label(i)? as usize, outputs, || set.source(i))
        },
    );
    bar.finish();
    let evaluation = evaluation.map_err(|e| e.within(path.display()))?;
    let collected = collector.finish()?;
    let outcome = Outcome {
        checkpoint: path.display().to_string(),
        on: On::Split(args.split.clone()),
        batch_size,
        evaluation,
        figures: collected.figures,
        classes: network.spec.classes,
    };
    if let Some(page) = &args.html {
        html::write(page, &outcome, &collected.mistakes, |image| {
            html::stored_picture(set, image.index)
        })?;
    }
    if let Some(folder) = &args.samples {
        samples::write(folder, path, &outcome, &collected.samples, |image| {
            html::stored_picture(set, image.index)
        })?;
    }
    Ok(outcome)
}
