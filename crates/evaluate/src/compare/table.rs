//! The table of runs as text.

use torchmill::metric::{self, METRICS};
use torchmill::recipe::Setting;
use torchmill::text::cut;
use unicode_width::UnicodeWidthStr;

use super::comparable_tag;
use super::run::{Metric, Run};
use crate::text::{left, right};

/// Settings are cut at this length: a list of layers is not useful here.
const LONGEST_SETTING: usize = 24;

/// The smallest width to which names, values of settings and headings are cut.
const SHORTEST: usize = 8;

/// A column: its heading, its cells, and whether they are all numbers.
struct Column {
    cells: Vec<String>,
    numbers: bool,
}

impl Column {
    fn new(head: &str, cells: impl Iterator<Item = String>) -> Self {
        let cells: Vec<String> = std::iter::once(head.to_owned()).chain(cells).collect();
        Self { numbers: cells[1..].iter().all(|cell| is_number(cell)), cells }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.width()).max().unwrap_or(0)
    }

    /// The smallest width: words may be cut, but not numbers, which would then be wrong.
    fn least(&self) -> usize {
        let numbers = self.cells[1..].iter().filter(|cell| is_number(cell));
        let numbers = numbers.map(|cell| cell.width()).max().unwrap_or(0);
        numbers.max(self.width().min(SHORTEST))
    }
}

fn is_number(cell: &str) -> bool {
    let fraction = || {
        cell.split_once('/')
            .is_some_and(|(a, b)| a.parse::<u64>().is_ok() && b.parse::<u64>().is_ok())
    };
    cell == "-" || cell.parse::<f64>().is_ok() || fraction()
}

/// The width of each column, to fit in `room` columns of the terminal with two spaces
/// between. Last columns that do not fit get no width.
fn widths(columns: &[Column], room: usize) -> Vec<usize> {
    let needed = |widths: &[usize]| {
        widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
    };
    let least: Vec<usize> = columns.iter().map(Column::least).collect();
    let mut shown = columns.len();
    while shown > 1 && needed(&least[..shown]) > room {
        shown -= 1;
    }
    let mut widths: Vec<usize> = columns[..shown].iter().map(Column::width).collect();
    while needed(&widths) > room {
        // Narrow the column that has the most to spare.
        let spare = |i: &usize| widths[*i] - least[*i];
        match (0..shown).max_by_key(spare).filter(|i| spare(i) > 0) {
            Some(i) => widths[i] -= 1,
            None => break,
        }
    }
    widths
}

/// Renders the table in `width` columns of the terminal. Also returns the headings that
/// did not fit.
pub fn text(
    runs: &[Run],
    sort: &str,
    settings: &[String],
    width: usize,
) -> (String, Vec<String>) {
    let mut columns = vec![
        Column {
            cells: ["run"]
                .into_iter()
                .chain(runs.iter().map(|r| r.name.as_str()))
                .map(str::to_owned)
                .collect(),
            numbers: false,
        },
        Column::new("epochs", runs.iter().map(progress)),
    ];
    let metric = |tag: &str, of: fn(&Metric) -> String| {
        runs.iter()
            .map(|run| run.metrics.get(tag).map_or("-".to_owned(), of))
            .collect::<Vec<_>>()
            .into_iter()
    };
    columns.push(Column::new(&format!("best {sort}"), metric(sort, |m| number(m.best))));
    columns.push(Column::new("at", metric(sort, |m| m.best_epoch.to_string())));
    columns.push(Column::new("last", metric(sort, |m| number(m.last))));
    for other in other_tags(runs, sort) {
        let cells = metric(&other, |m| number(m.last));
        columns.push(Column::new(&format!("last {other}"), cells));
    }
    let cell = |run: &Run, name: &String| {
        run.settings.get(name).map_or("-".to_owned(), Setting::to_string)
    };
    // The second column shows the epochs.
    let settings: Vec<String> =
        settings.iter().filter(|name| *name != "train.epochs").cloned().collect();
    for (name, head) in settings.iter().zip(heads(&settings)) {
        columns.push(Column::new(
            &head,
            runs.iter().map(|run| cut(&cell(run, name), LONGEST_SETTING)),
        ));
    }
    let widths = widths(&columns, width);
    let mut text = String::new();
    for i in 0..=runs.len() {
        let mut line = String::new();
        for (column, &width) in columns.iter().zip(&widths) {
            let pad = if column.numbers { right } else { left };
            line += &(pad(&column.cells[i], width) + "  ");
        }
        text += &(line.trim_end().to_owned() + "\n");
    }
    let left_out =
        columns[widths.len()..].iter().map(|column| column.cells[0].clone()).collect();
    (text, left_out)
}

/// The tags for more columns: every metric on the validation and test images that a run
/// has and that runs can be compared by.
fn other_tags(runs: &[Run], sort: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for split in ["val", "test"] {
        for metric in METRICS {
            let tag = metric::tag(split, metric);
            // Show the total loss only if there is no mean loss.
            let is_ranked = comparable_tag(runs, &tag) == tag;
            let is_there = runs.iter().any(|run| run.metrics.contains_key(&tag));
            if is_ranked && is_there && tag != sort {
                tags.push(tag);
            }
        }
    }
    tags
}

/// The completed epochs, such as `3/10`, or the state of a run without any. The total is
/// left out if unknown, or if the run was done before it.
fn progress(run: &Run) -> String {
    match (run.state(), run.epochs) {
        ("empty" | "unreadable", _) => run.state().to_owned(),
        ("failed", _) => format!("failed at {}", run.done),
        ("done", Some(epochs)) if run.done < epochs => run.done.to_string(),
        (_, Some(epochs)) => format!("{}/{epochs}", run.done),
        (_, None) => run.done.to_string(),
    }
}

/// Formats with four significant digits.
fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = 3 - x.abs().log10().floor() as i32;
    if (-3..=8).contains(&digits) {
        format!("{x:.*}", digits.max(0) as usize)
    } else {
        format!("{x:.3e}")
    }
}

/// Shortens setting names as long as they stay unique: `lr` for `train.optimizer.lr`. A
/// setting called `type` keeps the name of its table.
fn heads(names: &[String]) -> Vec<String> {
    let last = |name: &str, n: usize| {
        let parts: Vec<&str> = name.split('.').collect();
        parts[parts.len().saturating_sub(n)..].join(".")
    };
    let head = |name: &String| {
        let unique = |n: &usize| {
            let short = last(name, *n);
            short != "type"
                && names.iter().filter(|other| last(other, *n) == short).count() == 1
        };
        (1..8).find(unique).map_or_else(|| name.clone(), |n| last(name, n))
    };
    names.iter().map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_as_short_as_they_can_be() {
        let names =
            ["train.optimizer.lr", "train.optimizer.type", "train.seed", "data.seed"]
                .map(String::from);
        assert_eq!(heads(&names), ["lr", "optimizer.type", "train.seed", "data.seed"]);
    }

    #[test]
    fn words_are_cut_and_numbers_are_not() {
        let run = |name: &str, rate: f64| Run {
            name: name.to_owned(),
            settings: [
                ("train.optimizer.lr".to_owned(), Setting::Number(rate)),
                (
                    "transforms.train".to_owned(),
                    Setting::Text("RandomCrop(28, padding=4)".to_owned()),
                ),
            ]
            .into(),
            metrics: [(
                "test accuracy".to_owned(),
                Metric { best: 0.3187, best_epoch: 12, last: 0.25 },
            )]
            .into(),
            epochs: Some(10),
            done: 10,
            ..Run::default()
        };
        let runs =
            [run("runs/a-name-that-is-rather-long", 0.000_123_456), run("runs/b", 0.1)];
        let settings = ["train.optimizer.lr", "transforms.train"].map(String::from);
        let (whole, left_out) = text(&runs, "test accuracy", &settings, usize::MAX);
        assert!(
            whole.contains("runs/a-name-that-is-rather-long") && left_out.is_empty(),
            "{whole}"
        );
        for width in (10..120).rev() {
            let (table, left_out) = text(&runs, "test accuracy", &settings, width);
            let cells: Vec<Vec<&str>> =
                table.lines().map(|line| line.split_whitespace().collect()).collect();
            let shown: Vec<&str> = cells[2][1..].iter().take(5).copied().collect();
            let all = ["10/10", "0.3187", "12", "0.2500", "0.1"];
            assert_eq!(shown, all[..shown.len()], "{width}: {table}");
            assert!(
                width < 20 || table.lines().all(|line| line.width() <= width),
                "{width}: {table}"
            );
            assert_eq!(left_out.is_empty(), width >= 61, "{width}: {table}");
        }
    }

    #[test]
    fn every_metric_that_runs_can_be_compared_by_has_a_column() {
        let mut run = Run { name: "a".to_owned(), ..Run::default() };
        for split in ["val", "test"] {
            for metric in METRICS {
                let value = Metric { best: 1.0, best_epoch: 1, last: 1.0 };
                run.metrics.insert(metric::tag(split, metric), value);
            }
        }
        let sort = metric::tag("val", &METRICS[1]);
        let (table, _) = text(&[run], &sort, &[], usize::MAX);
        assert!(table.contains(&format!("best {sort}")), "{table}");
        for split in ["val", "test"] {
            for metric in METRICS {
                let tag = metric::tag(split, metric);
                let is_shown = metric.ranked_by.is_none() && tag != sort;
                let heading = table.lines().next().unwrap().to_owned() + "  ";
                assert_eq!(heading.contains(&format!("last {tag}  ")), is_shown, "{tag}");
            }
        }
    }

    #[test]
    fn numbers_have_four_digits() {
        let texts = [0.54904, 199.5599, 12345.6, 1e-7, f64::NAN, 0.0, -0.01].map(number);
        assert_eq!(
            texts,
            ["0.5490", "199.6", "12346", "1.000e-7", "NaN", "0", "-0.01000"]
        );
    }
}
