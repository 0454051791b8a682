//! Collects results for labelled images, from shards or from folders.

use torchmill::metric::argmax;
use torchmill::{Result, progress};
use torchmill_nn::evaluation::{Evaluation, Settings};
use torchmill_nn::loss::Loss;

use crate::class_report::ClassReport;
use crate::config::Config;
use crate::label_errors::{LabelError, LabelErrors};
use crate::network::Network;
use crate::outcome::{Images, Outcome};
use crate::predictions::{Prediction, Predictions};

/// The largest number of mistakes kept for `--html`.
const MISTAKES: usize = 48;
/// The largest number of label errors kept for `--html`.
const LABEL_ERRORS: usize = 24;
/// The largest number of images kept for `--samples`.
const SAMPLES: usize = 24;

/// Counts images, writes `--predictions`, and keeps images to show.
pub struct Collector<'a> {
    report: ClassReport,
    loss: &'a dyn Loss,
    predictions: Option<Predictions>,
    mistakes: Option<Vec<Example>>,
    label_errors: Option<LabelErrors>,
    samples: Option<Samples>,
}

/// Images spread over a split, the same for each checkpoint.
struct Samples {
    /// The number of images in the split.
    total: usize,
    kept: Vec<Example>,
}

/// The collected results.
pub struct Collected {
    /// The figures of each class.
    pub report: ClassReport,
    /// The most confident mistakes, worst first.
    pub mistakes: Vec<Example>,
    /// The images whose labels are most likely wrong, the most likely first.
    pub label_errors: Vec<LabelError>,
    /// The number of images whose label is likely wrong.
    pub label_error_count: usize,
    /// The samples, in order, whether predicted correctly or not.
    pub samples: Vec<Example>,
}

/// An image to show, and its prediction.
#[derive(Debug, Clone)]
pub struct Example {
    /// The image's index.
    pub index: usize,
    /// Where it came from.
    pub source: String,
    /// The index of its class.
    pub label: usize,
    /// The index of the predicted class.
    pub prediction: usize,
    /// The probability of the predicted class.
    pub confidence: f32,
}

impl<'a> Collector<'a> {
    /// Creates a collector for `total` images and starts the file of `--predictions`.
    pub fn new(config: &Config, total: usize, network: &'a Network) -> Result<Self> {
        let classes = &network.spec.classes;
        let predictions = match &config.predictions {
            Some(path) => Some(Predictions::create(path, classes)?),
            None => None,
        };
        Ok(Self {
            report: ClassReport::new(classes.len()),
            loss: &*network.loss,
            predictions,
            mistakes: config.html.as_ref().map(|_| Vec::new()),
            label_errors: config.html.as_ref().map(|_| LabelErrors::new(classes.len())),
            samples: config.samples.as_ref().map(|_| Samples { total, kept: Vec::new() }),
        })
    }

    /// Adds an image. `source` is called only if its result is needed.
    pub fn push(
        &mut self,
        index: usize,
        label: usize,
        outputs: &[f32],
        source: impl Fn() -> Result<String>,
    ) -> Result<()> {
        let probabilities = self.loss.probabilities(outputs);
        self.report.push(label, outputs, &probabilities);
        if let Some(predictions) = &mut self.predictions {
            predictions.push(&Prediction {
                index,
                source: &source()?,
                label: Some(label),
                outputs,
                probabilities: &probabilities,
            })?;
        }
        let prediction = argmax(outputs);
        let confidence = probabilities[prediction];
        let example =
            || Ok(Example { index, source: source()?, label, prediction, confidence });
        if let Some(samples) = &mut self.samples
            && samples.includes(index)
        {
            samples.kept.push(example()?);
        }
        if let Some(label_errors) = &mut self.label_errors {
            label_errors.push(&example()?, &probabilities);
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

    /// Completes the file of `--predictions`.
    pub fn finish(self) -> Result<Collected> {
        if let Some(predictions) = self.predictions {
            predictions.finish()?;
        }
        let mut mistakes = self.mistakes.unwrap_or_default();
        keep_worst(&mut mistakes);
        let mut label_errors = Vec::new();
        if let Some(collected) = self.label_errors {
            label_errors = collected.find();
        }
        let label_error_count = label_errors.len();
        label_errors.truncate(LABEL_ERRORS);
        let samples = self.samples.map_or_else(Vec::new, |samples| samples.kept);
        Ok(Collected {
            report: self.report,
            mistakes,
            label_errors,
            label_error_count,
            samples,
        })
    }
}

impl Collected {
    /// The outcome, without the images to show. Prints a note if outputs are NaN.
    pub fn outcome(
        &self,
        checkpoint: &str,
        images: Images,
        settings: Settings,
        evaluation: Evaluation,
        classes: &[String],
    ) -> Outcome {
        let nan = self.report.nan();
        if nan > 0 {
            progress::note(format_args!(
                "note: {checkpoint}: the outputs for {nan} of {} images are NaN",
                self.report.count()
            ));
        }
        Outcome {
            checkpoint: checkpoint.to_owned(),
            images,
            batch_size: settings.batch_size,
            tta: settings.copies.map(|copies| copies.tta()),
            evaluation,
            report: self.report.clone(),
            classes: classes.to_vec(),
        }
    }
}

impl Samples {
    /// Whether image `index` is one of the samples. They are evenly spaced, because a
    /// folder's images are sorted by class.
    fn includes(&self, index: usize) -> bool {
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
        let sampled = |total| -> Vec<usize> {
            let samples = Samples { total, kept: Vec::new() };
            (0..total + 5).filter(|&index| samples.includes(index)).collect()
        };
        assert_eq!(sampled(0), [0; 0]);
        assert_eq!(sampled(3), [0, 1, 2]);
        for total in [SAMPLES, SAMPLES + 1, 1000, 10_007] {
            let sampled = sampled(total);
            assert_eq!((sampled.len(), sampled[0]), (SAMPLES, 0), "{total}");
            let widest = sampled.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert_eq!(widest, total.div_ceil(SAMPLES), "{total}");
        }
    }
}
