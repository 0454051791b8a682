//! A trained network in use: images from disk through the checkpoint's own pipeline, a
//! line for each; or, where they lie in a folder per class, a report.

mod list;
mod read;

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use torchmill::progress::{self, Progress, Unit};
use torchmill::{Error, Result, interrupt};
use torchmill_nn::evaluation::{self, Tally};
use torchmill_nn::loader::Batch;

use crate::args::{Args, Format};
use crate::collect::Collector;
use crate::html;
use crate::inputs::Place;
use crate::network::{self, Arithmetic, Network};
use crate::outcome::{On, Outcome};
use crate::predictions::{Form, Prediction, Predictions};
use crate::samples;
use list::{Found, Source};
use read::Reader;

/// Batches decoded ahead of the one in use.
const AHEAD: usize = 2;

/// Some images as the network takes them, and where they came from.
struct Loaded {
    sources: Vec<Source>,
    batch: Batch,
}

/// Says what the images are. Where a class folder gives each its label, nothing is
/// printed, and the outcome is returned.
pub fn classify(
    args: &Args,
    checkpoint: &Path,
    places: &[Place],
) -> Result<Option<Outcome>> {
    let arithmetic = Arithmetic::of(args)?;
    let network = network::load(args, checkpoint, None, arithmetic.device)?;
    let reader = Reader::new(&network.spec, args.transform.as_deref())?;
    let found = list::find(places, &network.spec.classes)?;
    if found.labelled {
        return report(args, checkpoint, &network, &reader, found, arithmetic).map(Some);
    }
    if args.html.is_some() || args.samples.is_some() || args.report {
        return Err(Error::usage(
            "--html, --samples and --report need labels: give a folder that has a folder of images for each class",
        ));
    }
    print(args, &network, &reader, found, arithmetic)?;
    Ok(None)
}

/// Prints what each image is.
fn print(
    args: &Args,
    network: &Network,
    reader: &Reader,
    found: Found,
    arithmetic: Arithmetic,
) -> Result<()> {
    let classes = &network.spec.classes;
    let named = args.top_k.iter().max().map_or(3, |&k| k as usize);
    let form = match args.format {
        Format::Text => Form::Text(named),
        Format::Json => Form::Json,
        Format::Csv => Form::Csv,
    };
    let file = args.predictions.as_deref();
    let to_stdout = file == Some(Path::new("-"));
    let mut file = file.map(|path| Predictions::create(path, classes)).transpose()?;
    let mut printed =
        if to_stdout { None } else { Some(Predictions::to_stdout(form, classes)?) };
    let mut tally = Tally::new(&*network.loss, network.spec.batch_size);
    run(args, found, reader, arithmetic, |loaded| {
        let before = tally.count();
        let logits = tally.add(&network.model, &loaded.batch, arithmetic.kind)?;
        for (i, (outputs, source)) in logits.iter().zip(&loaded.sources).enumerate() {
            let probabilities = network.loss.probabilities(outputs);
            let (index, label, source) = (before + i, source.label, &*source.name());
            let image = Prediction {
                index,
                source,
                label,
                outputs,
                probabilities: &probabilities,
            };
            [&mut printed, &mut file]
                .into_iter()
                .flatten()
                .try_for_each(|p| p.push(&image))?;
        }
        printed.as_mut().map_or(Ok(()), Predictions::flush)
    })?;
    [printed, file].into_iter().flatten().try_for_each(Predictions::finish)
}

/// Counts how often the network is right about images whose classes are known.
fn report(
    args: &Args,
    checkpoint: &Path,
    network: &Network,
    reader: &Reader,
    found: Found,
    arithmetic: Arithmetic,
) -> Result<Outcome> {
    let (on, total) = (found.name.clone(), found.total.unwrap_or_default());
    let mut collector =
        Collector::new(args, total, &network.spec.classes, &*network.loss)?;
    let batch_size = args.batch_size.map_or(network.spec.batch_size, |n| n as usize);
    let mut tally = Tally::new(&*network.loss, batch_size);
    let mut paths: Vec<PathBuf> = Vec::new();
    run(args, found, reader, arithmetic, |loaded| {
        let before = tally.count();
        let logits = tally.add(&network.model, &loaded.batch, arithmetic.kind)?;
        for (i, (outputs, source)) in logits.iter().zip(&loaded.sources).enumerate() {
            let label = source.label.unwrap_or_default();
            collector
                .push(before + i, label, outputs, || Ok(source.name().into_owned()))?;
        }
        if args.html.is_some() || args.samples.is_some() {
            paths.extend(loaded.sources.into_iter().map(|source| source.path));
        }
        Ok(())
    })?;
    if tally.count() == 0 {
        return Err(Error::failed(format_args!("{on}: none of the images can be read")));
    }
    let collected = collector.finish()?;
    let outcome = Outcome {
        checkpoint: checkpoint.display().to_string(),
        on: On::Folder(on),
        batch_size,
        evaluation: tally.finish(),
        figures: collected.figures,
        classes: network.spec.classes.clone(),
    };
    if let Some(page) = &args.html {
        html::write(page, &outcome, &collected.mistakes, |image| {
            read::picture(&paths[image.index])
        })?;
    }
    if let Some(folder) = &args.samples {
        samples::write(folder, checkpoint, &outcome, &collected.samples, |image| {
            read::picture(&paths[image.index])
        })?;
    }
    Ok(outcome)
}

/// Decodes the images on all cores, ahead of the network, and hands them over in batches,
/// in order.
fn run(
    args: &Args,
    found: Found,
    reader: &Reader,
    arithmetic: Arithmetic,
    mut each: impl FnMut(Loaded) -> Result<()>,
) -> Result<()> {
    let total = found.total.map(|n| n as u64);
    let mut bar = Progress::new("evaluating", total, Unit::Count("images"));
    let mut skipped = 0;
    let result = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        scope.spawn(move || {
            let mut sources = found.sources;
            let mut count = 0;
            loop {
                let next = sources
                    .by_ref()
                    .take(evaluation::chunk(reader.input()))
                    .collect::<Result<Vec<_>>>();
                let ended = next.as_ref().is_ok_and(Vec::is_empty);
                let loaded = next.and_then(|next| {
                    interrupt::check()?;
                    let first = count;
                    count += next.len();
                    reader.load(next, first, args.skip_bad, arithmetic.device)
                });
                // An error ends it; so does a receiver that has heard enough.
                let failed = loaded.is_err();
                if ended || sender.send(loaded).is_err() || failed {
                    break;
                }
            }
        });
        for loaded in receiver {
            let (loaded, bad) = loaded?;
            skipped += bad.len();
            bad.iter().for_each(|why| bar.line(format!("skipped: {why}")));
            bar.add((loaded.as_ref().map_or(0, |l| l.sources.len()) + bad.len()) as u64);
            loaded.map_or(Ok(()), &mut each)?;
        }
        Ok(())
    });
    bar.finish();
    if skipped > 0 {
        let images = if skipped == 1 { "image was" } else { "images were" };
        progress::note(format_args!(
            "{} {images} skipped",
            progress::count(skipped as u64)
        ));
    }
    result
}
