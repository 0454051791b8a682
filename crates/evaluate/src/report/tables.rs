//! Tables as text: scikit-learn's classification report, the confusion matrix, and the
//! most confused pairs.

use std::fmt::Write;

use torchmill::text::cut;
use unicode_width::UnicodeWidthStr;

use crate::class_report::{ClassReport, Scores};
use crate::text::{left, right};

/// The largest confusion matrix that is shown, in classes.
const LARGEST_MATRIX: usize = 30;
/// The number of confused pairs that are listed.
const PAIRS: usize = 10;

/// scikit-learn's classification_report with four digits. Long names are cut to fit in
/// `width` columns.
pub fn classification_report(
    report: &ClassReport,
    classes: &[String],
    width: usize,
) -> String {
    // Two spaces, then four columns of nine, separated by spaces.
    let longest =
        classes.iter().map(|c| c.width()).max().unwrap_or(0).max("weighted avg".len());
    let longest = longest.min(width.saturating_sub(41).max("weighted avg".len()));
    let row = |name: &str, cells: [String; 4]| {
        let cells = cells.map(|cell| format!(" {cell:>9}")).concat();
        format!("{} {cells}\n", right(name, longest))
    };
    let cells = |s: Scores| {
        [
            format!("{:.4}", s.precision),
            format!("{:.4}", s.recall),
            format!("{:.4}", s.f1),
            s.support.to_string(),
        ]
    };
    let mut text =
        row("", ["precision", "recall", "f1-score", "support"].map(str::to_owned)) + "\n";
    text.extend(
        classes
            .iter()
            .zip(report.scores())
            .map(|(class, scores)| row(class, cells(scores))),
    );
    let accuracy = format!("{:.4}", report.top_k(1));
    text += "\n";
    text += &row(
        "accuracy",
        [String::new(), String::new(), accuracy, report.count().to_string()],
    );
    text += &row("macro avg", cells(report.macro_average()));
    text + &row("weighted avg", cells(report.weighted_average()))
}

/// The confusion matrix if it fits in `width` columns, or else which options write it.
pub fn confusion_matrix(
    report: &ClassReport,
    classes: &[String],
    width: usize,
) -> String {
    let n = classes.len();
    let number = n.saturating_sub(1).to_string().len();
    let cell =
        report.rows().flatten().max().map_or(1, |c| c.to_string().len()).max(number) + 1;
    let longest = classes.iter().map(|c| c.width()).max().unwrap_or(0).min(24);
    if n > LARGEST_MATRIX || number + 1 + longest + n * cell > width {
        return format!(
            "confusion matrix: {n} classes do not fit here; --html FILE draws it, --format json has it\n"
        );
    }
    let mut text =
        "confusion matrix, a row for each label, a column for each prediction:\n"
            .to_owned();
    let heads = (0..n).map(|i| format!("{i:>cell$}")).collect::<String>();
    let _ = writeln!(text, "{}{heads}", " ".repeat(number + 1 + longest));
    for ((i, class), row) in classes.iter().enumerate().zip(report.rows()) {
        let counts = row.iter().map(|&c| {
            if c == 0 { format!("{:>cell$}", ".") } else { format!("{c:>cell$}") }
        });
        let _ = writeln!(
            text,
            "{i:>number$} {}{}",
            left(class, longest),
            counts.collect::<String>()
        );
    }
    text
}

/// The most confused pairs of classes.
pub fn confused(report: &ClassReport, classes: &[String], width: usize) -> String {
    let pairs = report.confused();
    if pairs.is_empty() {
        return String::new();
    }
    let scores = report.scores();
    let mut text = "most confused:\n".to_owned();
    for pair in pairs.iter().take(PAIRS) {
        let support = scores[pair.label].support;
        let counts = format!(
            "{} of {support} ({:.1} %)",
            pair.count,
            pair.count as f64 / support as f64 * 100.0
        );
        let room = width.saturating_sub("   taken for : ".len() + counts.len());
        let label = cut(&classes[pair.label], room / 2);
        let prediction = cut(&classes[pair.prediction], room - room / 2);
        let _ = writeln!(text, "  {label} taken for {prediction}: {counts}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_too_wide_says_where_it_can_be_had() {
        let classes: Vec<String> =
            (0..12).map(|i| format!("a rather long name of class {i}")).collect();
        let mut report = ClassReport::new(12);
        let outputs: Vec<f32> = (0..12).map(|i| i as f32).collect();
        report.push(3, &outputs, &outputs);
        assert!(
            confusion_matrix(&report, &classes, 60)
                .contains("12 classes do not fit here")
        );
        let whole = confusion_matrix(&report, &classes, 80);
        assert!(
            whole.contains(
                " 3 a rather lon~ of class 3  .  .  .  .  .  .  .  .  .  .  .  1\n"
            ),
            "{whole}"
        );
        assert!(whole.lines().skip(1).all(|line| line.width() <= 80));
        let pairs = confused(&report, &classes, 60);
        assert_eq!(
            pairs,
            "most confused:\n  a rathe~lass 3 taken for a rathe~lass 11: 1 of 1 (100.0 %)\n"
        );
        assert!(
            classification_report(&report, &classes, 60)
                .lines()
                .all(|line| line.width() <= 60)
        );
    }
}
