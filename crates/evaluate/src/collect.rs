//! What is gathered of labelled images, whether they come from shards or from a folder.

use torchmill::Result;
use torchmill_nn::evaluation::argmax;
use torchmill_nn::loss::Loss;

use crate::args::Args;
use crate::figures::Figures;
use crate::predictions::{Prediction, Predictions};

/// Mistakes kept for `--html`.
const MISTAKES: usize = 48;
/// Images kept for `--samples`.
const SAMPLES: usize = 24;

/// The figures, and what goes to files on the way.
pub struct Collector<'a> {
    /// The counts.
    pub figures: Figures,
    loss: &'a dyn Loss,
    predictions: Option<Predictions>,
    mistakes: Option<Vec<Example>>,
    samples: Option<Samples>,
}

/// Images from all over a split, the same for each checkpoint.
struct Samples {
    /// How many images there are.
    total: usize,
    kept: Vec<Example>,
}

/// What was gathered.
pub struct Collected {
    /// The counts.
    pub figures: Figures,
    /// The most confident mistakes, worst first.
    pub mistakes: Vec<Example>,
    /// Right and wrong ones, in their order.
    pub samples: Vec<Example>,
}

/// An image to be shown, and what the network took it for.
#[derive(Debug, Clone)]
pub struct Example {
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

impl<'a> Collector<'a> {
    /// Nothing yet of `total` images; `--predictions` is begun.
    pub fn new(
        args: &Args,
        total: usize,
        classes: &[String],
        loss: &'a dyn Loss,
    ) -> Result<Self> {
        let predictions =
            args.predictions.as_deref().map(|path| Predictions::create(path, classes));
        Ok(Self {
            figures: Figures::new(classes.len()),
            loss,
            predictions: predictions.transpose()?,
            mistakes: args.html.as_ref().map(|_| Vec::new()),
            samples: args.samples.as_ref().map(|_| Samples { total, kept: Vec::new() }),
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
        let probabilities = self.loss.probabilities(outputs);
        self.figures.push(label, outputs, &probabilities);
        if let Some(predictions) = &mut self.predictions {
            let (label, source) = (Some(label), &*source()?);
            predictions.push(&Prediction {
                index,
                source,
                label,
                outputs,
                probabilities: &probabilities,
            })?;
        }
        let prediction = argmax(outputs);
        let confidence = probabilities[prediction];
        let example =
            || Ok(Example { index, source: source()?, label, prediction, confidence });
        if let Some(samples) = &mut self.samples
            && samples.takes(index)
        {
            samples.kept.push(example()?);
        }
        if let Some(mistakes) = &mut self.mistakes
            && prediction != label
        {
            mistakes.push(example()?);
            if mistakes.len() >= 100 * MISTAKES {
                keep_worst(mistakes);
            }
        }
        Ok(())
    }

    /// Completes the files.
    pub fn finish(self) -> Result<Collected> {
        self.predictions.map_or(Ok(()), Predictions::finish)?;
        let mut mistakes = self.mistakes.unwrap_or_default();
        keep_worst(&mut mistakes);
        let samples = self.samples.map_or_else(Vec::new, |samples| samples.kept);
        Ok(Collected { figures: self.figures, mistakes, samples })
    }
}

impl Samples {
    /// Whether image `index` is one of those that lie as far from each other as can be: a
    /// folder's images come class by class.
    fn takes(&self, index: usize) -> bool {
        let wanted = SAMPLES.min(self.total);
        index < self.total && index * wanted % self.total < wanted
    }
}

fn keep_worst(mistakes: &mut Vec<Example>) {
    mistakes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    mistakes.truncate(MISTAKES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_all_images() {
        let taken = |total| -> Vec<usize> {
            let samples = Samples { total, kept: Vec::new() };
            (0..total + 5).filter(|&index| samples.takes(index)).collect()
        };
        assert_eq!(taken(0), [0; 0]);
        assert_eq!(taken(3), [0, 1, 2]);
        for total in [SAMPLES, SAMPLES + 1, 1000, 10_007] {
            let taken = taken(total);
            assert_eq!((taken.len(), taken[0]), (SAMPLES, 0), "{total}");
            let widest = taken.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert_eq!(widest, total.div_ceil(SAMPLES), "{total}");
        }
    }
}
