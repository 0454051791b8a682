//! Evaluates image files: predicts a class for each, or reports metrics if folders named
//! after the classes label them.

mod list;
mod read;

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use torchmill::progress::{self, Progress, Unit};
use torchmill::{Error, Result, interrupt, parallel};
use torchmill_nn::evaluation::{self, Settings, Tally};
use torchmill_nn::loader::Batch;

use crate::args::Format;
use crate::collector::{Collected, Collector};
use crate::config::Config;
use crate::html;
use crate::network::{self, Arithmetic, Network};
use crate::outcome::{Images, Outcome};
use crate::predictions::{Form, Prediction, Predictions};
use crate::samples;
use list::{Found, Source};
use read::Reader;

/// The number of batches decoded ahead.
const AHEAD: usize = 2;

/// The default number of classes listed for each image.
const NAMED_CLASSES: usize = 3;

/// A batch of images in the network's input form, and their sources.
struct Loaded {
    sources: Vec<Source>,
    batch: Batch,
}

/// Uses a checkpoint on images. If they are labelled, adds an outcome. Otherwise, prints
/// the predictions.
pub fn evaluate(config: &Config, outcomes: &mut Vec<Outcome>) -> Result<()> {
    let checkpoint = &config.checkpoints[0];
    let arithmetic = Arithmetic::of(config)?;
    let network = network::load(config, checkpoint, None, arithmetic.device)?;
    let reader = Reader::new(&network.spec, config.transform.as_deref())?;
    let found = list::find(&config.images, &network.spec.classes)?;
    let run = Run { config, network: &network, reader: &reader, arithmetic };
    if found.labelled {
        outcomes.push(run.report(checkpoint, found)?);
        return Ok(());
    }
    if config.html.is_some() || config.samples.is_some() || config.report {
        return Err(Error::usage(
            "--html, --samples and --report need labels: give a folder that has a folder \
             of images for each class",
        ));
    }
    run.print_predictions(found)
}

/// What is needed to go through the images.
struct Run<'a> {
    config: &'a Config,
    network: &'a Network,
    reader: &'a Reader,
    arithmetic: Arithmetic,
}

impl Run<'_> {
    /// Prints the predictions for each image.
    fn print_predictions(&self, found: Found) -> Result<()> {
        let mut outputs = self.open_predictions()?;
        let loss = &*self.network.loss;
        let settings = self.settings(self.network.spec.batch_size)?;
        let mut tally = Tally::new(loss, settings.batch_size);
        self.for_each_batch(found, |loaded| {
            let before = tally.count();
            let logits = tally.add(&self.network.model, &loaded.batch, settings)?;
            for (i, (row, source)) in logits.iter().zip(&loaded.sources).enumerate() {
                let name = source.name();
                let probabilities = loss.probabilities(row);
                let prediction = Prediction {
                    index: before + i,
                    source: &name,
                    label: source.label,
                    outputs: row,
                    probabilities: &probabilities,
                };
                for output in &mut outputs {
                    output.push(&prediction)?;
                }
            }
            // A program that reads standard output may be waiting for these.
            outputs.iter_mut().try_for_each(Predictions::flush)
        })?;
        outputs.into_iter().try_for_each(Predictions::finish)
    }

    /// The settings of the evaluation.
    fn settings(&self, batch_size: usize) -> Result<Settings> {
        let copies =
            network::copies(self.config.tta, &self.network.spec, self.reader.input())?;
        Ok(Settings { batch_size, kind: self.arithmetic.kind, copies })
    }

    /// Opens standard output, and the file of `--predictions`.
    fn open_predictions(&self) -> Result<Vec<Predictions>> {
        let classes = &self.network.spec.classes;
        let mut outputs = Vec::new();
        if self.config.predictions.as_deref() != Some(Path::new("-")) {
            let named = self.config.top_k.iter().max().copied();
            let form = match self.config.format {
                Format::Text => Form::Text(named.unwrap_or(NAMED_CLASSES)),
                Format::Json => Form::Json,
                Format::Csv => Form::Csv,
            };
            outputs.push(Predictions::to_stdout(form, classes)?);
        }
        if let Some(path) = &self.config.predictions {
            outputs.push(Predictions::create(path, classes)?);
        }
        Ok(outputs)
    }

    /// Evaluates the network on labelled images.
    fn report(&self, checkpoint: &Path, found: Found) -> Result<Outcome> {
        let config = self.config;
        let folder = found.name.clone();
        #[allow(clippy::expect_used, reason = "only images in folders have labels")]
        let total = found.total.expect("images in folders are counted");
        let mut collector = Collector::new(config, total, self.network)?;
        let batch_size = config.batch_size.unwrap_or(self.network.spec.batch_size);
        let settings = self.settings(batch_size)?;
        let mut tally = Tally::new(&*self.network.loss, batch_size);
        let mut paths: Vec<PathBuf> = Vec::new();
        self.for_each_batch(found, |loaded| {
            let before = tally.count();
            let logits = tally.add(&self.network.model, &loaded.batch, settings)?;
            for (i, (row, source)) in logits.iter().zip(&loaded.sources).enumerate() {
                #[allow(clippy::expect_used, reason = "the caller has checked it")]
                let label = source.label.expect("every image has a label");
                let name = || Ok(source.name().into_owned());
                collector.push(before + i, label, row, name)?;
            }
            if config.html.is_some() || config.samples.is_some() {
                paths.extend(loaded.sources.into_iter().map(|source| source.path));
            }
            Ok(())
        })?;
        if tally.count() == 0 {
            return Err(Error::failed(format_args!(
                "{folder}: none of the images can be read"
            )));
        }
        let collected = collector.finish()?;
        let outcome = collected.outcome(
            &checkpoint.display().to_string(),
            Images::Folder(folder),
            settings,
            tally.finish(),
            &self.network.spec.classes,
        );
        self.write_pictures(checkpoint, &outcome, &collected, &paths)?;
        Ok(outcome)
    }

    /// Writes `--html` and `--samples`.
    fn write_pictures(
        &self,
        checkpoint: &Path,
        outcome: &Outcome,
        collected: &Collected,
        paths: &[PathBuf],
    ) -> Result<()> {
        if let Some(page) = &self.config.html {
            html::write(page, outcome, collected, |image| {
                read::picture(&paths[image.index], self.reader.exif())
            })?;
        }
        if let Some(folder) = &self.config.samples {
            samples::write(folder, checkpoint, outcome, &collected.samples, |image| {
                read::picture(&paths[image.index], self.reader.exif())
            })?;
        }
        Ok(())
    }

    /// Decodes the images on all cores, ahead of the network, and passes them on in
    /// batches, in order.
    fn for_each_batch(
        &self,
        found: Found,
        mut each: impl FnMut(Loaded) -> Result<()>,
    ) -> Result<()> {
        let total = found.total.map(|n| n as u64);
        let mut bar = Progress::new("evaluating", total, Unit::Count("images"));
        let mut skipped = 0;
        let outputs = self.config.outputs()?;
        let result = std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(AHEAD);
            // The network stays on this thread.
            let reader = self.reader;
            let device = self.arithmetic.device;
            let skip_bad = self.config.skip_bad;
            let mut sources = found.sources;
            parallel::spawn_scoped(scope, move || {
                let mut count = 0;
                loop {
                    let chunk = evaluation::chunk(reader.input());
                    let next: Result<Vec<Source>> =
                        sources.by_ref().take(chunk).collect();
                    let is_over = next.as_ref().is_ok_and(Vec::is_empty);
                    let loaded = next.and_then(|next| {
                        interrupt::check()?;
                        for source in &next {
                            outputs.check_input(&source.path)?;
                        }
                        let first = count;
                        count += next.len();
                        reader.load(next, first, skip_bad, device)
                    });
                    let is_error = loaded.is_err();
                    // Sending fails if the receiver has stopped because of an error.
                    if is_over || sender.send(loaded).is_err() || is_error {
                        break;
                    }
                }
            })?;
            for loaded in receiver {
                let (loaded, bad) = loaded?;
                skipped += bad.len();
                for why in &bad {
                    bar.line(format!("skipped: {why}"));
                }
                let good = loaded.as_ref().map_or(0, |loaded| loaded.sources.len());
                bar.add((good + bad.len()) as u64);
                if let Some(loaded) = loaded {
                    each(loaded)?;
                }
            }
            Ok(())
        });
        bar.finish();
        if skipped > 0 {
            let images = if skipped == 1 { "image was" } else { "images were" };
            let skipped = progress::count(skipped as u64);
            progress::note(format_args!("{skipped} {images} skipped"));
        }
        result
    }
}
