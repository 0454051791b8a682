//! The results as text.

use std::fmt::Write;

use torchmill_nn::evaluation::Evaluation;

use super::tables;
use crate::config::Config;
use crate::outcome::Outcome;
use crate::text::width;

/// The results of each checkpoint, in order.
pub fn text(outcomes: &[Outcome], config: &Config) -> String {
    let mut text = String::new();
    for (i, outcome) in outcomes.iter().enumerate() {
        text += &summary(outcome, config);
        if config.report {
            text += "\n";
            text += &details(outcome);
            if i + 1 < outcomes.len() {
                text += "\n";
            }
        }
    }
    text
}

fn summary(outcome: &Outcome, config: &Config) -> String {
    let evaluation = &outcome.evaluation;
    let report = &outcome.report;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{} on {}:", outcome.checkpoint, outcome.describe_images());
    let _ = writeln!(
        text,
        "  total loss {:.4}, mean loss {:.6}",
        evaluation.total_loss(),
        evaluation.mean_loss()
    );
    let _ = writeln!(
        text,
        "  accuracy {:.2} % ({} of {})",
        evaluation.accuracy() * 100.0,
        report.correct(),
        evaluation.count
    );
    for k in outcome.top_k(&config.top_k) {
        if k > 1 {
            let accuracy = report.top_k(k) * 100.0;
            let _ = writeln!(text, "  top-{k} accuracy {accuracy:.2} %");
        }
    }
    for metric in Evaluation::other_metrics() {
        let value = (metric.format)(evaluation.value(metric));
        let _ = writeln!(text, "  {} {value}", metric.name);
    }
    let f1 = evaluation.macro_f1();
    let calibration = evaluation.calibration_error();
    let _ = writeln!(text, "  macro F1 {f1:.4}, calibration error {calibration:.4}");
    text
}

/// The additional results of `--report`.
fn details(outcome: &Outcome) -> String {
    let width = width();
    let parts = [
        tables::classification_report(&outcome.report, &outcome.classes, width),
        tables::confusion_matrix(&outcome.report, &outcome.classes, width),
        tables::confused(&outcome.report, &outcome.classes, width),
    ];
    parts.join("\n")
}
