//! The results as text, JSON or CSV.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use torchmill::{Error, Result, cli};
use torchmill_nn::evaluation::Evaluation;

use crate::args::Format;

/// One checkpoint's results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    checkpoint: String,
    split: String,
    images: usize,
    /// The sum over batches of the batch's mean loss, as the article counts it.
    total_loss: f64,
    /// Images a batch in that sum.
    batch_size: usize,
    mean_loss: f64,
    correct: usize,
    accuracy: f64,
}

impl Row {
    /// A checkpoint's row.
    pub fn new(checkpoint: &Path, split: &str, batch_size: usize, result: &Evaluation) -> Self {
        Self {
            checkpoint: checkpoint.display().to_string(),
            split: split.to_owned(),
            images: result.count,
            total_loss: result.total_loss,
            batch_size,
            mean_loss: result.mean_loss,
            correct: result.correct,
            accuracy: result.accuracy(),
        }
    }
}

/// Prints the rows to standard output.
pub fn print(rows: &[Row], format: Format) -> Result<()> {
    let text = match format {
        Format::Text => text(rows),
        Format::Json => json(rows)?,
        Format::Csv => csv(rows)?,
    };
    cli::print(text.as_bytes())
}

/// For people.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let Row { checkpoint, split, images, total_loss, mean_loss, correct, accuracy, .. } = row;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{checkpoint} on {images} {split} images:");
        let _ = writeln!(text, "  total loss {total_loss:.4}, mean loss {mean_loss:.6}");
        let _ = writeln!(text, "  accuracy {:.2} % ({correct} of {images})", accuracy * 100.0);
    }
    text
}

fn json(rows: &[Row]) -> Result<String> {
    let text = serde_json::to_string_pretty(rows);
    text.map(|t| t + "\n").map_err(|e| Error::failed(format_args!("cannot write JSON: {e}")))
}

fn csv(rows: &[Row]) -> Result<String> {
    let failed = |e: String| Error::failed(format_args!("cannot write CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|e| failed(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| failed(e.to_string()))
}
