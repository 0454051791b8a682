//! What a person sees of a run: on a terminal a bar and a table with a row an epoch,
//! elsewhere the article's lines.

use std::time::Duration;

use torchmill::progress::{self, Progress, Unit};
use torchmill::terminal;
use torchmill_nn::evaluation::Evaluation;

/// Where the table's columns end: epoch, training loss, loss, accuracy, learning rate,
/// time.
const ENDS: [usize; 6] = [5, 16, 26, 36, 45, 54];

/// Tells of a run on standard error.
pub struct Display {
    table: bool,
    headed: bool,
}

/// What is known of an epoch when it is over.
pub struct Row<'a> {
    /// Which, from 1.
    pub epoch: u64,
    /// The mean of its steps' losses.
    pub train_loss: f64,
    /// What was evaluated (`test`, `val`) and found.
    pub evaluation: Option<(&'a str, Evaluation)>,
    /// Whether it is the best so far.
    pub is_best: bool,
    pub lr: f64,
    pub took: Duration,
}

impl Display {
    /// A table where lines can be written over, else plain lines.
    pub fn new() -> Self {
        let table = terminal::moves(&std::io::stderr()) && !progress::quiet();
        Self { table, headed: false }
    }

    /// An epoch of `images` begins, with `done` of them.
    pub fn epoch(&self, epoch: u64, epochs: u64, images: u64, done: u64) -> Progress {
        if !self.table {
            progress::note(format_args!("----- start training epoch {epoch} -----"));
        }
        let what = format!("epoch {epoch}/{epochs}");
        let mut bar = Progress::new(what, Some(images), Unit::Count("images")).bar_only();
        bar.start_at(done);
        bar
    }

    /// An evaluation of `images` begins.
    pub fn evaluating(&self, images: usize) -> Progress {
        Progress::new("evaluating", Some(images as u64), Unit::Count("images")).bar_only()
    }

    /// The last step's loss; a plain line of it where the step is one that gets one.
    pub fn loss(&self, bar: &Progress, step: Option<u64>, loss: f64) {
        bar.message(format!("loss {loss:.4}"));
        if let (Some(step), false) = (step, self.table) {
            bar.line(format!("train step: {step}, loss: {loss}"));
        }
    }

    /// An evaluation that is no part of an epoch, or that the plain lines have.
    pub fn evaluation(&self, name: &str, result: &Evaluation) {
        progress::note(format_args!("total loss in {name} set: {}", result.total_loss));
        progress::note(format_args!("accuracy in {name} set: {}", result.accuracy()));
    }

    /// The end of an epoch.
    pub fn row(&mut self, row: &Row) {
        if !self.table {
            if let Some((name, result)) = &row.evaluation {
                self.evaluation(name, result);
            }
            return;
        }
        if !self.headed {
            let name = row.evaluation.as_ref().map_or("test", |(name, _)| name);
            progress::note(narrowed(&heading(name)));
            self.headed = true;
        }
        progress::note(narrowed(&line(row)));
    }
}

/// As much of a row as the terminal has columns for.
fn narrowed(row: &str) -> String {
    let columns = terminal::columns(std::io::stderr()).map_or(usize::MAX, usize::from);
    whole_columns(row, columns).to_owned()
}

/// A row without the columns that end beyond so many characters.
fn whole_columns(row: &str, columns: usize) -> &str {
    if row.len() <= columns {
        return row;
    }
    let end =
        ENDS.into_iter().rfind(|end| *end <= columns.min(row.len())).unwrap_or(ENDS[0]);
    row.get(..end).unwrap_or(row)
}

/// Both losses are means over images, so that they can be compared.
fn heading(name: &str) -> String {
    let (loss, accuracy) = (format!("{name} loss"), format!("{name} acc."));
    format!(
        "{:>5} {:>10} {loss:>9} {accuracy:>9} {:>8} {:>8}",
        "epoch", "train loss", "lr", "time"
    )
}

fn line(row: &Row) -> String {
    let (loss, accuracy) = match &row.evaluation {
        Some((_, e)) => {
            (format!("{:.4}", e.mean_loss), format!("{:.2} %", 100.0 * e.accuracy()))
        }
        None => (String::new(), String::new()),
    };
    let seconds = row.took.as_secs();
    let time = match seconds {
        0..60 => format!("{:.1} s", row.took.as_secs_f64()),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    };
    let best = if row.is_best { " best" } else { "" };
    format!(
        "{:>5} {:>10.4} {loss:>9} {accuracy:>9} {:>8} {time:>8}{best}",
        row.epoch,
        row.train_loss,
        lr(row.lr)
    )
}

/// Three significant digits.
fn lr(lr: f64) -> String {
    if lr != 0.0 && lr < 1e-3 {
        format!("{lr:.1e}")
    } else {
        let text = format!("{lr:.5}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_under_their_heading() {
        let evaluation =
            Evaluation { count: 1000, correct: 227, total_loss: 36.7, mean_loss: 2.2916 };
        let row = Row {
            epoch: 3,
            train_loss: 2.3,
            evaluation: Some(("val", evaluation)),
            is_best: true,
            lr: 0.01,
            took: Duration::from_millis(4_567_890),
        };
        assert_eq!(
            heading("val"),
            "epoch train loss  val loss  val acc.       lr     time"
        );
        assert_eq!(
            line(&row),
            "    3     2.3000    2.2916   22.70 %     0.01  1:16:07 best"
        );
        let ends = [59, 58, 54, 53, 45, 40, 36, 35, 20, 3];
        let kept = ends.map(|columns| whole_columns(&line(&row), columns).len());
        assert_eq!(kept, [59, 54, 54, 45, 45, 36, 36, 26, 16, 5]);
        assert_eq!(
            whole_columns(&heading("val"), 40),
            "epoch train loss  val loss  val acc."
        );
        let row = Row {
            evaluation: None,
            is_best: false,
            lr: 1.234e-5,
            took: Duration::from_secs(75),
            ..row
        };
        assert_eq!(line(&row), "    3     2.3000                       1.2e-5     1:15");
        assert_eq!([0.0, 0.1, 0.00123].map(lr), ["0", "0.1", "0.00123"]);
    }
}
