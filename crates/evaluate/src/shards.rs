//! Evaluates checkpoints on a split of the shards.

use std::path::{Path, PathBuf};

use torchmill::Result;
use torchmill::progress::{Progress, Unit};
use torchmill_nn::evaluation::{self, Evaluation, Settings};
use torchmill_nn::loader::ShardData;

use crate::collector::Collector;
use crate::config::Config;
use crate::html;
use crate::network::{self, Arithmetic, Network};
use crate::outcome::{Images, Outcome};
use crate::samples;

/// Evaluates each checkpoint on the shards of its run, or of `--data`.
///
/// Adds each result to `outcomes`, so that after an error the results so far remain.
pub fn evaluate(config: &Config, outcomes: &mut Vec<Outcome>) -> Result<()> {
    let arithmetic = Arithmetic::of(config)?;
    let outputs = config.outputs()?;
    let mut opened: Option<(PathBuf, ShardData)> = None;
    for path in &config.checkpoints {
        let folder = network::data_folder(config, path)?;
        outputs.check_input_folder(&folder)?;
        // The checkpoints of one run use the same shards.
        let dataset = match opened.take() {
            Some((open, dataset)) if open == folder => dataset,
            _ => ShardData::open(&folder, &config.split)?,
        };
        outcomes.push(evaluate_one(config, path, &dataset, arithmetic)?);
        opened = Some((folder, dataset));
    }
    Ok(())
}

fn evaluate_one(
    config: &Config,
    path: &Path,
    dataset: &ShardData,
    arithmetic: Arithmetic,
) -> Result<Outcome> {
    let network = network::load(config, path, Some(dataset), arithmetic.device)?;
    network::check_data(path, &network.spec, dataset, config.tta)?;
    let set = dataset.set();
    let mut collector = Collector::new(config, set.len(), &network)?;
    let batch_size = config.batch_size.unwrap_or(network.spec.batch_size);
    let settings = Settings {
        batch_size,
        kind: arithmetic.kind,
        copies: network::copies(config.tta, &network.spec, dataset.image_shape()?)?,
    };
    let evaluation = run(&network, dataset, settings, &mut collector)
        .map_err(|e| e.within(path.display()))?;
    let collected = collector.finish()?;
    let outcome = collected.outcome(
        &path.display().to_string(),
        Images::Split(config.split.clone()),
        settings,
        evaluation,
        &network.spec.classes,
    );
    if let Some(page) = &config.html {
        html::write(page, &outcome, &collected, |image| {
            html::stored_picture(set, image.index)
        })?;
    }
    if let Some(folder) = &config.samples {
        samples::write(folder, path, &outcome, &collected.samples, |image| {
            html::stored_picture(set, image.index)
        })?;
    }
    Ok(outcome)
}

/// Runs the network over all images, with a progress bar.
fn run(
    network: &Network,
    dataset: &ShardData,
    settings: Settings,
    collector: &mut Collector,
) -> Result<Evaluation> {
    let set = dataset.set();
    let total = Some(set.len() as u64);
    let mut bar = Progress::new("evaluating", total, Unit::Count("images"));
    let evaluation = evaluation::evaluate(
        &network.model,
        dataset,
        &*network.loss,
        settings,
        None,
        |index, outputs| {
            bar.add(1);
            let label = set.label(index)? as usize;
            collector.push(index, label, outputs, || set.source(index))
        },
    );
    bar.finish();
    evaluation
}
