//! `--predictions`: a CSV with a row an image: `index,source,label,prediction,correct`, then each class's
//! probability, headed `p(CLASS)`.

use std::io::Write;
use std::path::Path;

use torchmill::atomic::AtomicFile;
use torchmill::shard::ShardSet;
use torchmill::{Error, Result};
use torchmill_nn::evaluation::argmax;

/// The file being written.
pub struct Predictions {
    writer: csv::Writer<Output>,
    classes: Vec<String>,
}

/// A file, complete or not at all, or standard output.
enum Output {
    File(AtomicFile),
    Stdout(std::io::BufWriter<std::io::Stdout>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

impl Predictions {
    /// Starts the file with its header row.
    pub fn create(path: &Path, classes: &[String]) -> Result<Self> {
        let output = if path == Path::new("-") {
            Output::Stdout(std::io::BufWriter::new(std::io::stdout()))
        } else {
            Output::File(AtomicFile::create(path)?)
        };
        let mut writer = csv::Writer::from_writer(output);
        let fixed = ["index", "source", "label", "prediction", "correct"].map(str::to_owned);
        let header = fixed.into_iter().chain(classes.iter().map(|c| format!("p({c})")));
        writer.write_record(header).map_err(error)?;
        Ok(Self { writer, classes: classes.to_vec() })
    }

    /// Adds an image's row: its logits become probabilities by softmax.
    pub fn push(&mut self, index: usize, set: &ShardSet, logits: &[f32]) -> Result<()> {
        let label = set.label(index)? as usize;
        let prediction = argmax(logits);
        let class = |i: usize| self.classes.get(i).cloned().unwrap_or_default();
        let fixed = [
            index.to_string(),
            set.source(index)?,
            class(label),
            class(prediction),
            u8::from(label == prediction).to_string(),
        ];
        let probabilities = softmax(logits).into_iter().map(|p| p.to_string());
        self.writer.write_record(fixed.into_iter().chain(probabilities)).map_err(error)
    }

    /// Completes the file.
    pub fn finish(self) -> Result<()> {
        let output =
            self.writer.into_inner().map_err(|e| Error::io("cannot write the predictions", e.error()))?;
        match output {
            Output::File(file) => file.commit(),
            Output::Stdout(mut out) => out.flush().map_err(|e| Error::io("cannot write the predictions", &e)),
        }
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|&x| (x - max).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

fn error(error: csv::Error) -> Error {
    Error::csv("cannot write the predictions", error)
}
