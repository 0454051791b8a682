//! What is gathered of labelled images, whether they come from shards or from a folder.

use torchmill::Result;
use torchmill::recipe::Loss;
use torchmill_nn::evaluation::argmax;

use crate::args::Args;
use crate::figures::Figures;
use crate::predictions::{Prediction, Predictions};
use crate::probabilities;

/// Mistakes kept for `--html`.
const MISTAKES: usize = 48;

/// The figures, and what goes to files on the way.
pub struct Collector {
    /// The counts.
    pub figures: Figures,
    loss: Loss,
    predictions: Option<Predictions>,
    mistakes: Option<Vec<Mistake>>,
}

/// An image that the network was wrong about.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// The image's number.
    pub index: usize,
    /// Where it came from.
    pub source: String,
    /// Its class.
    pub label: usize,
    /// What it was taken for.
    pub prediction: usize,
    /// That class's probability.
    pub confidence: f32,
}

impl Collector {
    /// Nothing yet; `--predictions` is begun.
    pub fn new(args: &Args, classes: &[String], loss: Loss) -> Result<Self> {
        let predictions = args.predictions.as_deref().map(|path| Predictions::create(path, classes));
        Ok(Self {
            figures: Figures::new(classes.len()),
            loss,
            predictions: predictions.transpose()?,
            mistakes: args.html.as_ref().map(|_| Vec::new()),
        })
    }

    /// Adds an image; `source` is asked only where it is needed.
    pub fn push(
        &mut self,
        index: usize,
        label: usize,
        outputs: &[f32],
        source: impl Fn() -> Result<String>,
    ) -> Result<()> {
        let probabilities = probabilities::of(&self.loss, outputs);
        self.figures.push(label, outputs, &probabilities);
        if let Some(predictions) = &mut self.predictions {
            let (label, source) = (Some(label), &*source()?);
            predictions.push(&Prediction { index, source, label, outputs, probabilities: &probabilities })?;
        }
        let prediction = argmax(outputs);
        if let Some(mistakes) = &mut self.mistakes
            && prediction != label
        {
            let confidence = probabilities[prediction];
            mistakes.push(Mistake { index, source: source()?, label, prediction, confidence });
            if mistakes.len() >= 100 * MISTAKES {
                keep_worst(mistakes);
            }
        }
        Ok(())
    }

    /// Completes the files; returns the figures and the most confident mistakes.
    pub fn finish(self) -> Result<(Figures, Vec<Mistake>)> {
        self.predictions.map_or(Ok(()), Predictions::finish)?;
        let mut mistakes = self.mistakes.unwrap_or_default();
        keep_worst(&mut mistakes);
        Ok((self.figures, mistakes))
    }
}

fn keep_worst(mistakes: &mut Vec<Mistake>) {
    mistakes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    mistakes.truncate(MISTAKES);
}
