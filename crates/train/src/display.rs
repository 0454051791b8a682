//! Shows a run's progress: a bar and a table with one row per epoch on a terminal, or
//! else the article's lines.

use std::time::Duration;

use torchmill::metric::{Direction, METRICS, MetricType};
use torchmill::progress::{self, Progress, Unit};
use torchmill::terminal;
use torchmill_nn::evaluation::Evaluation;

/// Shows a run's progress on standard error.
pub struct Display {
    table: bool,
    headed: bool,
    /// The estimated time for the epochs after the current one.
    later: Option<Duration>,
}

/// The results of an epoch.
pub struct Row<'a> {
    /// Its number, from 1.
    pub epoch: u64,
    /// The mean loss of its steps.
    pub train_loss: f64,
    /// The name of the evaluated split (`test`, `val`) and the result.
    pub evaluation: Option<(&'a str, Evaluation)>,
    /// Whether it is the best so far.
    pub is_best: bool,
    pub lr: f64,
    pub took: Duration,
    /// The training speed.
    pub images_per_second: f64,
    /// The share of the training time spent waiting for images.
    pub waiting: f64,
    /// The number of epochs after this one.
    pub epochs_left: u64,
}

impl Display {
    /// Shows a table if the terminal can overwrite lines, or else plain lines.
    pub fn new() -> Self {
        let table = terminal::moves(&std::io::stderr()) && !progress::quiet();
        Self { table, headed: false, later: None }
    }

    /// Starts an epoch of `images`, of which `done` are done already.
    pub fn epoch(&self, epoch: u64, epochs: u64, images: u64, done: u64) -> Progress {
        if !self.table {
            progress::note(format_args!("----- start training epoch {epoch} -----"));
        }
        let what = format!("epoch {epoch}/{epochs}");
        let mut bar = Progress::new(what, Some(images), Unit::Count("images")).bar_only();
        bar.start_at(done);
        bar
    }

    /// Starts an evaluation of `images`.
    pub fn evaluating(&self, images: usize) -> Progress {
        Progress::new("evaluating", Some(images as u64), Unit::Count("images")).bar_only()
    }

    /// Shows the last step's loss. If `step` is given, also as a plain line.
    pub fn loss(&self, bar: &Progress, step: Option<u64>, loss: f64) {
        let later = self.later.map(progress::duration);
        let later =
            later.map(|time| format!(", later epochs {time}")).unwrap_or_default();
        bar.message(format!("loss {loss:.4}{later}"));
        if let (Some(step), false) = (step, self.table) {
            bar.line(format!("train step: {step}, loss: {loss}"));
        }
    }

    /// Prints the result of an evaluation as plain lines.
    pub fn evaluation(&self, name: &str, result: &Evaluation) {
        for (metric, value) in METRICS.iter().zip(result.values) {
            if let Some(what) = metric.line {
                progress::note(format_args!("{what} in {name} set: {value}"));
            }
        }
    }

    /// Shows the end of an epoch.
    pub fn row(&mut self, row: &Row) {
        let later = row.epochs_left.saturating_sub(1);
        let later = row.took.saturating_mul(u32::try_from(later).unwrap_or(u32::MAX));
        self.later = Some(later).filter(|later| !later.is_zero());
        if !self.table {
            if let Some((name, result)) = &row.evaluation {
                self.evaluation(name, result);
            }
            return;
        }
        if !self.headed {
            let name = row.evaluation.as_ref().map_or("test", |(name, _)| name);
            progress::note(fitted(&heading(name, &columns()), terminal_columns()));
            self.headed = true;
        }
        progress::note(fitted(&line(row, &columns()), terminal_columns()));
    }
}

fn terminal_columns() -> usize {
    terminal::columns(std::io::stderr()).map_or(usize::MAX, usize::from)
}

/// A cell of the table: its text and its column's width.
struct Cell {
    text: String,
    width: usize,
}

impl Cell {
    fn new(text: impl Into<String>, width: usize) -> Self {
        Self { text: text.into(), width }
    }
}

/// A metric's column.
struct Column {
    metric: &'static MetricType,
    heading: &'static str,
    /// Wide enough for the heading after the longest name of a split, `test`.
    width: usize,
}

impl Column {
    fn of(metric: &'static MetricType) -> Option<Self> {
        let heading = metric.heading?;
        let width = ("test ".len() + heading.len()).max(9);
        Some(Self { metric, heading, width })
    }
}

/// The metrics that have a column. Losses come first, next to the training loss.
fn columns() -> Vec<Column> {
    let mut columns = Vec::new();
    for direction in [Direction::Min, Direction::Max] {
        let metrics = METRICS.iter().filter(|metric| metric.direction == direction);
        columns.extend(metrics.filter_map(Column::of));
    }
    columns
}

/// The headings. Both losses are means over images and can be compared.
fn heading(split: &str, columns: &[Column]) -> Vec<Cell> {
    let mut cells = vec![Cell::new("epoch", 5), Cell::new("train loss", 10)];
    for column in columns {
        cells.push(Cell::new(format!("{split} {}", column.heading), column.width));
    }
    cells.extend([Cell::new("lr", 8), Cell::new("time", 8)]);
    cells.extend([Cell::new("images/s", 8), Cell::new("waiting", 7)]);
    cells
}

fn line(row: &Row, columns: &[Column]) -> Vec<Cell> {
    let train_loss = format!("{:.4}", row.train_loss);
    let mut cells = vec![Cell::new(row.epoch.to_string(), 5), Cell::new(train_loss, 10)];
    for column in columns {
        let text = match &row.evaluation {
            Some((_, evaluation)) => {
                (column.metric.format)(evaluation.value(column.metric))
            }
            None => String::new(),
        };
        cells.push(Cell::new(text, column.width));
    }
    cells.extend([Cell::new(lr(row.lr), 8), Cell::new(time(row.took), 8)]);
    let speed = format!("{:.0}", row.images_per_second);
    let waiting = format!("{:.0} %", 100.0 * row.waiting);
    cells.extend([Cell::new(speed, 8), Cell::new(waiting, 7)]);
    if row.is_best {
        cells.push(Cell::new("best", 4));
    }
    cells
}

/// Joins the cells that end within `columns` characters into one line. The first is
/// always shown.
fn fitted(cells: &[Cell], columns: usize) -> String {
    let mut line = String::new();
    for cell in cells {
        let width = cell.width + usize::from(!line.is_empty());
        if !line.is_empty() && line.len() + width > columns {
            break;
        }
        line.push_str(&format!("{:>width$}", cell.text));
    }
    line
}

fn time(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", took.as_secs_f64()),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// Formats with three significant digits.
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
    use torchmill::metric;

    use super::*;

    fn column(metric: &str) -> Column {
        Column::of(metric::named(metric).unwrap()).unwrap()
    }

    #[test]
    fn a_heading_has_room() {
        for column in columns() {
            let heading = format!("test {}", column.heading);
            assert!(heading.len() <= column.width, "{heading}");
        }
        assert_eq!(column("mean loss").width, 9);
        const LONG: MetricType = MetricType {
            name: "calibration error",
            direction: Direction::Min,
            ranked_by: None,
            is_logged: false,
            format: |error| format!("{error:.4}"),
            line: None,
            heading: Some("calibration"),
            new: |_| unreachable!(),
        };
        let cells = heading("test", &[Column::of(&LONG).unwrap()]);
        assert_eq!(fitted(&cells, 33), "epoch train loss test calibration");
        assert_eq!(fitted(&cells, 32), "epoch train loss");
    }

    #[test]
    fn rows_stand_under_their_heading() {
        let mut values = [f64::NAN; METRICS.len()];
        for (value, metric) in values.iter_mut().zip(METRICS) {
            *value = match metric.name {
                "accuracy" => 0.227,
                "mean loss" => 2.2916,
                _ => continue,
            };
        }
        let evaluation = Evaluation { count: 1000, values };
        let columns = [column("mean loss"), column("accuracy")];
        let heading = |split| heading(split, &columns);
        let line = |row: &Row| line(row, &columns);
        let row = Row {
            epoch: 3,
            train_loss: 2.3,
            evaluation: Some(("val", evaluation)),
            is_best: true,
            lr: 0.01,
            took: Duration::from_millis(4_567_890),
            images_per_second: 8123.4,
            waiting: 0.034,
            epochs_left: 7,
        };
        assert_eq!(
            fitted(&heading("val"), usize::MAX),
            "epoch train loss  val loss  val acc.       lr     time images/s waiting"
        );
        assert_eq!(
            fitted(&line(&row), usize::MAX),
            "    3     2.3000    2.2916   22.70 %     0.01  1:16:07     8123     3 % best"
        );
        let ends = [76, 75, 71, 70, 63, 62, 54, 53, 45, 40, 36, 35, 20, 3];
        let kept = ends.map(|columns| fitted(&line(&row), columns).len());
        assert_eq!(kept, [76, 71, 71, 63, 63, 54, 54, 45, 45, 36, 36, 26, 16, 5]);
        assert_eq!(fitted(&heading("val"), 40), "epoch train loss  val loss  val acc.");
        let row = Row {
            evaluation: None,
            is_best: false,
            lr: 1.234e-5,
            took: Duration::from_secs(75),
            ..row
        };
        assert_eq!(
            fitted(&line(&row), usize::MAX),
            "    3     2.3000                       1.2e-5     1:15     8123     3 %"
        );
        assert_eq!([0.0, 0.1, 0.00123].map(lr), ["0", "0.1", "0.00123"]);
    }
}
