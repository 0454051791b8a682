//! The results as text, JSON or CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;
use torchmill::{Error, Result, cli};

use crate::args::{Args, Format};
use crate::csv_table::Table;
use crate::figures::{BINS, Bin, Scores};
use crate::outcome::Outcome;
use crate::{tables, text};

/// One checkpoint's results, as JSON has them.
#[derive(Debug, Serialize)]
struct Row<'a> {
    checkpoint: &'a str,
    split: &'a str,
    images: usize,
    /// The sum over batches of the batch's mean loss, as the article counts it.
    total_loss: f64,
    /// Images a batch in that sum.
    batch_size: usize,
    mean_loss: f64,
    correct: u64,
    accuracy: f64,
    /// By k.
    top_k_accuracy: BTreeMap<usize, f64>,
    macro_average: Scores,
    weighted_average: Scores,
    calibration_error: f64,
    #[serde(flatten)]
    details: Option<Details<'a>>,
}

/// What `--report` adds.
#[derive(Debug, Serialize)]
struct Details<'a> {
    classes: Vec<Class<'a>>,
    /// A row for each label, a column for each prediction.
    confusion_matrix: Vec<&'a [u64]>,
    /// 15 stretches of the highest probability.
    calibration_bins: [Bin; BINS],
}

#[derive(Debug, Serialize)]
struct Class<'a> {
    class: &'a str,
    #[serde(flatten)]
    scores: Scores,
}

impl<'a> Row<'a> {
    fn new(outcome: &'a Outcome, args: &Args) -> Self {
        let Outcome { checkpoint, on, batch_size, evaluation, figures, .. } = outcome;
        Self {
            checkpoint,
            split: on.name(),
            images: evaluation.count,
            total_loss: evaluation.total_loss(),
            batch_size: *batch_size,
            mean_loss: evaluation.mean_loss(),
            correct: figures.correct(),
            accuracy: evaluation.accuracy(),
            top_k_accuracy: outcome
                .top_k(&args.top_k)
                .into_iter()
                .map(|k| (k, figures.top_k(k)))
                .collect(),
            macro_average: figures.macro_average(),
            weighted_average: figures.weighted_average(),
            calibration_error: figures.calibration_error(),
            details: args.report.then(|| Details {
                classes: outcome
                    .classes
                    .iter()
                    .zip(figures.scores())
                    .map(|(class, scores)| Class { class, scores })
                    .collect(),
                confusion_matrix: figures.rows().collect(),
                calibration_bins: figures.bins(),
            }),
        }
    }
}

/// Prints the results to standard output.
pub fn print(outcomes: &[Outcome], args: &Args) -> Result<()> {
    let text = match (args.format, args.report) {
        (Format::Text, _) => text(outcomes, args),
        (Format::Json, _) => json(outcomes, args)?,
        (Format::Csv, false) => csv(outcomes, args)?,
        (Format::Csv, true) => csv_of_classes(outcomes)?,
    };
    cli::print(text.as_bytes())
}

/// For people.
pub fn text(outcomes: &[Outcome], args: &Args) -> String {
    let mut text = String::new();
    for (i, outcome) in outcomes.iter().enumerate() {
        let Outcome { checkpoint, evaluation: e, figures, classes, .. } = outcome;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{checkpoint} on {}:", outcome.images());
        let _ = writeln!(
            text,
            "  total loss {:.4}, mean loss {:.6}",
            e.total_loss(),
            e.mean_loss()
        );
        let _ = writeln!(
            text,
            "  accuracy {:.2} % ({} of {})",
            e.accuracy() * 100.0,
            figures.correct(),
            e.count
        );
        for k in outcome.top_k(&args.top_k).into_iter().filter(|&k| k > 1) {
            let _ =
                writeln!(text, "  top-{k} accuracy {:.2} %", figures.top_k(k) * 100.0);
        }
        let (f1, calibration) = (figures.macro_average().f1, figures.calibration_error());
        let _ = writeln!(text, "  macro F1 {f1:.4}, calibration error {calibration:.4}");
        if args.report {
            let width = text::width();
            text += "\n";
            text += &tables::classification_report(figures, classes, width);
            text += "\n";
            text += &tables::confusion_matrix(figures, classes, width);
            text += "\n";
            text += &tables::confused(figures, classes, width);
            if i + 1 < outcomes.len() {
                text += "\n";
            }
        }
    }
    text
}

fn json(outcomes: &[Outcome], args: &Args) -> Result<String> {
    let rows: Vec<Row> = outcomes.iter().map(|outcome| Row::new(outcome, args)).collect();
    let text = serde_json::to_string_pretty(&rows);
    text.map(|t| t + "\n")
        .map_err(|e| Error::failed(format_args!("cannot write JSON: {e}")))
}

/// A row for each checkpoint.
fn csv(outcomes: &[Outcome], args: &Args) -> Result<String> {
    let ks: BTreeSet<usize> =
        outcomes.iter().flat_map(|o| o.top_k(&args.top_k)).filter(|&k| k > 1).collect();
    let mut table = Table::empty();
    let fixed =
        "checkpoint,split,images,total_loss,batch_size,mean_loss,correct,accuracy";
    let scores = |average: &str| {
        ["precision", "recall", "f1"].map(|name| format!("{average}_{name}"))
    };
    let header = fixed
        .split(',')
        .map(str::to_owned)
        .chain(ks.iter().map(|k| format!("top_{k}_accuracy")));
    let header = header.chain(scores("macro")).chain(scores("weighted"));
    table.row(header.chain(["calibration_error".to_owned()]))?;
    for outcome in outcomes {
        let row = Row::new(outcome, args);
        let numbers = |s: Scores| [s.precision, s.recall, s.f1].map(|x| x.to_string());
        let fixed = [
            row.checkpoint.to_owned(),
            row.split.to_owned(),
            row.images.to_string(),
            row.total_loss.to_string(),
            row.batch_size.to_string(),
            row.mean_loss.to_string(),
            row.correct.to_string(),
            row.accuracy.to_string(),
        ];
        let cells = fixed
            .into_iter()
            .chain(ks.iter().map(|&k| outcome.figures.top_k(k).to_string()));
        let cells =
            cells.chain(numbers(row.macro_average)).chain(numbers(row.weighted_average));
        table.row(cells.chain([row.calibration_error.to_string()]))?;
    }
    table.finish()
}

/// A row for each class: its scores, then its row of the confusion matrix.
fn csv_of_classes(outcomes: &[Outcome]) -> Result<String> {
    let mut table = Table::empty();
    let classes =
        &outcomes.first().ok_or_else(|| Error::failed("nothing was evaluated"))?.classes;
    if outcomes.iter().any(|outcome| outcome.classes != *classes) {
        return Err(Error::usage(
            "checkpoints of different classes make no one CSV of classes: give them one by one",
        ));
    }
    let fixed = ["checkpoint", "split", "class", "precision", "recall", "f1", "support"]
        .map(str::to_owned);
    table.row(
        fixed.into_iter().chain(classes.iter().map(|c| format!("predicted({c})"))),
    )?;
    for outcome in outcomes {
        let scores = outcome.figures.scores();
        for ((class, s), counts) in classes.iter().zip(scores).zip(outcome.figures.rows())
        {
            let fixed = [
                outcome.checkpoint.clone(),
                outcome.on.name().to_owned(),
                class.clone(),
                s.precision.to_string(),
                s.recall.to_string(),
                s.f1.to_string(),
                s.support.to_string(),
            ];
            table.row(fixed.into_iter().chain(counts.iter().map(u64::to_string)))?;
        }
    }
    table.finish()
}
