//! The runs as a table for people.

use torchmill::recipe::Setting;
use torchmill::terminal::cut;
use unicode_width::UnicodeWidthStr;

use super::run::{Metric, Run};
use crate::text::{left, right};

/// A setting is cut where it is longer: a list of layers tells nobody anything here.
const LONGEST_SETTING: usize = 24;

/// A column: its head, its cells, and whether these are numbers.
struct Column {
    cells: Vec<String>,
    numbers: bool,
}

impl Column {
    fn new(head: &str, cells: impl Iterator<Item = String>) -> Self {
        let cells: Vec<String> = std::iter::once(head.to_owned()).chain(cells).collect();
        let number = |cell: &String| cell == "-" || cell.parse::<f64>().is_ok() || cell.contains('/');
        Self { numbers: cells[1..].iter().all(number), cells }
    }
}

/// The table, its columns cut to `width`.
pub fn text(runs: &[Run], sort: &str, settings: &[String], width: usize) -> String {
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
        runs.iter().map(|run| run.metrics.get(tag).map_or("-".to_owned(), of)).collect::<Vec<_>>().into_iter()
    };
    columns.push(Column::new(&format!("best {sort}"), metric(sort, |m| number(m.best))));
    columns.push(Column::new("at", metric(sort, |m| m.best_epoch.to_string())));
    columns.push(Column::new("last", metric(sort, |m| number(m.last))));
    for other in ["val loss", "test accuracy", "test loss"] {
        if other != sort && runs.iter().any(|run| run.metrics.contains_key(other)) {
            columns.push(Column::new(&format!("last {other}"), metric(other, |m| number(m.last))));
        }
    }
    let cell = |run: &Run, name: &String| run.settings.get(name).map_or("-".to_owned(), Setting::to_string);
    // The second column has the epochs.
    let settings: Vec<String> = settings.iter().filter(|name| *name != "train.epochs").cloned().collect();
    for (name, head) in settings.iter().zip(heads(&settings)) {
        columns.push(Column::new(&head, runs.iter().map(|run| cut(&cell(run, name), LONGEST_SETTING))));
    }
    let mut text = String::new();
    for i in 0..=runs.len() {
        let mut line = String::new();
        for column in &columns {
            let columns = column.cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
            let pad = if column.numbers { right } else { left };
            line += &(pad(&column.cells[i], columns) + "  ");
        }
        text += &(cut(line.trim_end(), width) + "\n");
    }
    text
}

/// `3/10`, where they are known and it is not done before them, or the state of a run that tells no epochs.
fn progress(run: &Run) -> String {
    match (run.state(), run.epochs) {
        ("empty" | "unreadable", _) => run.state().to_owned(),
        ("failed", _) => format!("failed at {}", run.done),
        ("done", Some(epochs)) if run.done < epochs => run.done.to_string(),
        (_, Some(epochs)) => format!("{}/{epochs}", run.done),
        (_, None) => run.done.to_string(),
    }
}

/// Four digits that count.
fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = 3 - x.abs().log10().floor() as i32;
    if (-3..=8).contains(&digits) { format!("{x:.*}", digits.max(0) as usize) } else { format!("{x:.3e}") }
}

/// Names without the tables that they need not be told apart: `lr` for `train.optimizer.lr`. What is called
/// `type` keeps one.
fn heads(names: &[String]) -> Vec<String> {
    let last = |name: &str, n: usize| {
        let parts: Vec<&str> = name.split('.').collect();
        parts[parts.len().saturating_sub(n)..].join(".")
    };
    let head = |name: &String| {
        let unique = |n: &usize| {
            let short = last(name, *n);
            short != "type" && names.iter().filter(|other| last(other, *n) == short).count() == 1
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
            ["train.optimizer.lr", "train.optimizer.type", "train.seed", "data.seed"].map(String::from);
        assert_eq!(heads(&names), ["lr", "optimizer.type", "train.seed", "data.seed"]);
    }

    #[test]
    fn numbers_have_four_digits() {
        let texts = [0.54904, 199.5599, 12345.6, 1e-7, f64::NAN, 0.0, -0.01].map(number);
        assert_eq!(texts, ["0.5490", "199.6", "12346", "1.000e-7", "NaN", "0", "-0.01000"]);
    }
}
