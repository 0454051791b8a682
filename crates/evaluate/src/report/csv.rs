//! The results as CSV.

use std::collections::BTreeSet;

use torchmill::{Error, Result};
use torchmill_nn::evaluation::Evaluation;

use crate::class_report::Scores;
use crate::config::Config;
use crate::csv_table::Table;
use crate::outcome::Outcome;

/// One row per checkpoint.
pub fn checkpoints(outcomes: &[Outcome], config: &Config) -> Result<String> {
    let mut ks = BTreeSet::new();
    for outcome in outcomes {
        ks.extend(outcome.top_k(&config.top_k).into_iter().filter(|&k| k > 1));
    }
    let mut table = Table::empty();
    let mut header = header(&ks);
    if config.tta.is_some() {
        header.push("tta".to_owned());
    }
    table.row(header.into_iter())?;
    for outcome in outcomes {
        let mut row = row(outcome, &ks);
        row.extend(outcome.tta.map(|tta| tta.to_string()));
        table.row(row.into_iter())?;
    }
    table.finish()
}

fn header(ks: &BTreeSet<usize>) -> Vec<String> {
    let mut header = vec![
        "checkpoint".to_owned(),
        "split".to_owned(),
        "images".to_owned(),
        "total_loss".to_owned(),
        "batch_size".to_owned(),
        "mean_loss".to_owned(),
        "correct".to_owned(),
        "accuracy".to_owned(),
    ];
    for metric in Evaluation::other_metrics() {
        header.push(metric.key());
    }
    for k in ks {
        header.push(format!("top_{k}_accuracy"));
    }
    for average in ["macro", "weighted"] {
        for score in ["precision", "recall", "f1"] {
            header.push(format!("{average}_{score}"));
        }
    }
    header.push("calibration_error".to_owned());
    header
}

fn row(outcome: &Outcome, ks: &BTreeSet<usize>) -> Vec<String> {
    let evaluation = &outcome.evaluation;
    let report = &outcome.report;
    let mut row = vec![
        outcome.checkpoint.clone(),
        outcome.images.name().to_owned(),
        evaluation.count.to_string(),
        evaluation.total_loss().to_string(),
        outcome.batch_size.to_string(),
        evaluation.mean_loss().to_string(),
        report.correct().to_string(),
        evaluation.accuracy().to_string(),
    ];
    for metric in Evaluation::other_metrics() {
        row.push(evaluation.value(metric).to_string());
    }
    for &k in ks {
        row.push(report.top_k(k).to_string());
    }
    for Scores { precision, recall, f1, .. } in
        [report.macro_average(), report.weighted_average()]
    {
        row.extend([precision, recall, f1].map(|score| score.to_string()));
    }
    row.push(evaluation.calibration_error().to_string());
    row
}

/// One row per class: its scores, then its row of the confusion matrix.
pub fn classes(outcomes: &[Outcome]) -> Result<String> {
    let Some(first) = outcomes.first() else {
        return Err(Error::failed("nothing was evaluated"));
    };
    if outcomes.iter().any(|outcome| outcome.classes != first.classes) {
        return Err(Error::usage(
            "the checkpoints have different classes, so one CSV cannot hold them: \
             evaluate them one by one",
        ));
    }
    let mut table = Table::empty();
    let mut header =
        ["checkpoint", "split", "class", "precision", "recall", "f1", "support"]
            .map(str::to_owned)
            .to_vec();
    for class in &first.classes {
        header.push(format!("predicted({class})"));
    }
    table.row(header.into_iter())?;
    for outcome in outcomes {
        for row in class_rows(outcome) {
            table.row(row.into_iter())?;
        }
    }
    table.finish()
}

fn class_rows(outcome: &Outcome) -> Vec<Vec<String>> {
    let scores = outcome.report.scores();
    let mut rows = Vec::new();
    for (class, counts) in outcome.report.rows().enumerate() {
        let Scores { precision, recall, f1, support } = scores[class];
        let mut row = vec![
            outcome.checkpoint.clone(),
            outcome.images.name().to_owned(),
            outcome.classes[class].clone(),
            precision.to_string(),
            recall.to_string(),
            f1.to_string(),
            support.to_string(),
        ];
        row.extend(counts.iter().map(u64::to_string));
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_have_the_same_name() {
        let header = header(&BTreeSet::from([2, 5]));
        let names: BTreeSet<&String> = header.iter().collect();
        assert_eq!(names.len(), header.len(), "{header:?}");
    }
}
