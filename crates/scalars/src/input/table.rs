//! Reads points from rows. A table is *tidy*, with one value per row
//! (`wall_time,step,epoch,tag,value`), or *wide*, with one column per curve
//! (`step,train_loss,test_loss`). The header tells which.

use std::collections::HashMap;

use torchmill::suggest::did_you_mean;
use torchmill::time::parse_iso8601;
use torchmill::{Error, Result, text};

use super::rows::Row;
use super::select::Select;

/// Names of the step column, best first, as [`plain`] spells them. TensorBoard's own CSV
/// download has `Step`, Lightning `step`, W&B `_step`, Keras only `epoch`.
const STEP_NAMES: [&str; 7] =
    ["step", "global_step", "_step", "steps", "iteration", "iter", "epoch"];
/// Names of the wall time column, best first.
const TIME_NAMES: [&str; 5] =
    ["wall_time", "walltime", "timestamp", "_timestamp", "wall"];

/// What Keras writes if an epoch has no value: a gap in the curve.
const NOT_AVAILABLE: &[u8] = b"NA";

/// How to read a CSV.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--step`: the step column's name, if it is not one of the usual names.
    pub step: Option<String>,
    /// `--wall-time`: the same for the wall time column.
    pub wall_time: Option<String>,
    /// The tags to read.
    pub select: Select,
    /// `--skip-bad`: leave out rows and cells that cannot be read.
    pub skip_bad: bool,
    /// Whether values will be stored as float32, so that large ones become infinite.
    pub singles: bool,
    /// The tag of the only curve, if it is not the column's name. In a file from
    /// TensorBoard's download button, the column is called `Value`.
    pub value_tag: Option<String>,
}

/// One value of one curve in a CSV.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// The run, if a tidy table has a column of that name; else empty.
    pub run: &'a str,
    /// Seconds since 1970-01-01 00:00 UTC; `None` if the table has no such column.
    pub wall_time: Option<f64>,
    /// The step, or the row's number if the table has no step column.
    pub step: i64,
    /// The epoch; `None` if the table has no such column, or the cell has no number.
    pub epoch: Option<f64>,
    /// The curve's name, after `--rename` and `--tag-prefix`.
    pub tag: &'a str,
    /// Finite, infinite or NaN.
    pub value: f64,
}

/// A table whose header has been read.
pub struct Table {
    columns: Vec<String>,
    time: Option<usize>,
    step: Option<usize>,
    epoch: Option<usize>,
    layout: Layout,
    options: Options,
    rows: i64,
    is_scale_told: bool,
    /// Counts of the rows so far.
    pub tally: Tally,
}

enum Layout {
    Tidy {
        run: Option<usize>,
        tag: usize,
        value: usize,
        /// By run and tag, with a zero byte between them.
        curves: HashMap<Vec<u8>, Option<Curve>>,
        key: Vec<u8>,
    },
    Wide(Vec<(usize, Curve)>),
}

/// One curve of the table.
struct Curve {
    run: String,
    name: String,
    /// The step and value of the last point.
    last: Option<(i64, f64)>,
}

/// What the user should know about the rows.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number of points.
    pub points: u64,
    /// Cells (or, in a tidy table, rows) that `--skip-bad` left out, and the first of
    /// them.
    pub bad: Noted,
    /// Values that are NaN or infinite.
    pub non_finite: Noted,
    /// Points that make TensorBoard drop an earlier point of the curve: the step is less
    /// than the one before it, or the same with another value.
    pub not_increasing: Noted,
    /// Wall times that are not in seconds.
    pub scaled_times: Noted,
    /// All tags in the CSV, selected or not, under their original names.
    pub tags: Vec<String>,
}

impl Tally {
    /// Returns the counts since the last call and resets them, except points and tags.
    pub fn take_news(&mut self) -> Self {
        Self {
            points: self.points,
            bad: std::mem::take(&mut self.bad),
            non_finite: std::mem::take(&mut self.non_finite),
            not_increasing: std::mem::take(&mut self.not_increasing),
            scaled_times: std::mem::take(&mut self.scaled_times),
            tags: self.tags.clone(),
        }
    }
}

/// A count, with the first case.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// How many.
    pub count: u64,
    /// A description of the first case and where it is.
    pub first: String,
}

impl Noted {
    fn add(&mut self, what: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = what();
        }
        self.count += 1;
    }
}

impl Table {
    /// Finds the columns by their names in the header.
    pub fn new(header: &Row, options: &Options) -> Result<Self> {
        let columns: Vec<String> =
            (0..header.len()).map(|i| header.text(i).into_owned()).collect();
        if columns.iter().all(|c| c.is_empty() || c.parse::<f64>().is_ok()) {
            return Err(Error::failed(format_args!(
                "line {}: the first row must name the columns, but holds only numbers",
                header.line
            )));
        }
        for (i, name) in columns.iter().enumerate() {
            if columns[..i].contains(name) && !name.is_empty() {
                return Err(Error::failed(format_args!(
                    "two columns are called {name:?}"
                )));
            }
        }
        let find = |named: &Option<String>, usual: &[&str]| match named {
            Some(name) => {
                columns.iter().position(|c| c == name).map(Some).ok_or_else(|| {
                    Error::failed(format_args!(
                        "there is no column {name:?}{}; the columns are {}",
                        did_you_mean(name, columns.iter().map(String::as_str)),
                        columns.join(", ")
                    ))
                })
            }
            None => {
                Ok(usual.iter().find_map(|u| columns.iter().position(|c| plain(c) == *u)))
            }
        };
        let step = find(&options.step, &STEP_NAMES)?;
        let time = find(&options.wall_time, &TIME_NAMES)?;
        let epoch = columns.iter().position(|c| plain(c) == "epoch");
        let tidy = |name| columns.iter().position(|c| plain(c) == name);
        let mut tally = Tally::default();
        let layout = if let (Some(tag), Some(value)) = (tidy("tag"), tidy("value")) {
            if step.is_none() {
                return Err(Error::failed(format_args!(
                    "there is no step column; name it with --step; the columns are {}",
                    columns.join(", ")
                )));
            }
            Layout::Tidy {
                run: tidy("run"),
                tag,
                value,
                curves: HashMap::new(),
                key: Vec::new(),
            }
        } else {
            let others = columns
                .iter()
                .enumerate()
                .filter(|&(i, c)| Some(i) != step && Some(i) != time && !c.is_empty());
            tally.tags = others.clone().map(|(_, name)| name.clone()).collect();
            if let (Some(tag), [only]) = (&options.value_tag, tally.tags.as_mut_slice())
                && plain(only) == "value"
            {
                only.clone_from(tag);
            }
            let mut curves: Vec<(usize, Curve)> = Vec::new();
            for ((column, _), tag) in others.zip(&tally.tags) {
                let Some(name) = options.select.name(tag) else { continue };
                if curves.iter().any(|(_, other)| other.name == name) {
                    return Err(two_tags(&name));
                }
                curves.push((column, Curve { run: String::new(), name, last: None }));
            }
            Layout::Wide(curves)
        };
        if tally.tags.is_empty() && matches!(layout, Layout::Wide(_)) {
            return Err(Error::failed(format_args!(
                "there is no column of values; the columns are {}",
                columns.join(", ")
            )));
        }
        Ok(Self {
            columns,
            time,
            step,
            epoch,
            layout,
            options: options.clone(),
            rows: 0,
            is_scale_told: false,
            tally,
        })
    }

    /// Whether rows are numbered because there is no step column.
    pub fn numbers_rows(&self) -> bool {
        self.step.is_none()
    }

    /// Numbers the rows if the only step column is `epoch` and has fractions, as Hugging
    /// Face's Trainer writes it: steps must be whole numbers. Epochs are then a curve.
    fn number_rows_of_fractional_epochs(&mut self, first: &Row) {
        let Some(column) = self.step else { return };
        let name = &self.columns[column];
        let epoch: Option<f64> = first.text(column).parse().ok();
        let is_fractional = epoch.is_some_and(|epoch| epoch.fract() != 0.0);
        if self.options.step.is_some() || plain(name) != "epoch" || !is_fractional {
            return;
        }
        let Layout::Wide(curves) = &mut self.layout else { return };
        self.step = None;
        self.tally.tags.push(name.clone());
        if let Some(name) = self.options.select.name(name) {
            curves.push((column, Curve { run: String::new(), name, last: None }));
        }
    }

    /// Calls `each` with the row's points. A bad cell is an error, or is counted with
    /// `--skip-bad`.
    pub fn read(
        &mut self,
        row: &Row,
        each: &mut impl FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        let number = self.rows;
        self.rows += 1;
        if number == 0 {
            self.number_rows_of_fractional_epochs(row);
        }
        let mut cells = Cells {
            row,
            epoch: self.epoch.and_then(|column| row.text(column).parse().ok()),
            columns: &self.columns,
            tally: &mut self.tally,
            is_scale_told: &mut self.is_scale_told,
            skip: self.options.skip_bad,
            singles: self.options.singles,
        };
        match &mut self.layout {
            Layout::Tidy { run, tag, value, curves, key } => {
                let run_cell = run.and_then(|column| row.get(column)).unwrap_or_default();
                key.clear();
                key.extend_from_slice(run_cell);
                key.push(0);
                key.extend_from_slice(row.get(*tag).unwrap_or_default());
                if !curves.contains_key(key) {
                    let name = cells.text(*tag);
                    let Some(name) = cells.check(name)? else { return Ok(()) };
                    if !cells.tally.tags.iter().any(|t| t == name) {
                        cells.tally.tags.push(name.to_owned());
                    }
                    let run = String::from_utf8_lossy(run_cell).into_owned();
                    let curve = self.options.select.name(name).map(|name| Curve {
                        run,
                        name,
                        last: None,
                    });
                    if let Some(new) = &curve
                        && curves
                            .values()
                            .flatten()
                            .any(|other| other.run == new.run && other.name == new.name)
                    {
                        return Err(two_tags(&new.name));
                    }
                    curves.insert(key.clone(), curve);
                }
                let Some(Some(curve)) = curves.get_mut(key) else { return Ok(()) };
                if row.get(*value) == Some(NOT_AVAILABLE) {
                    return Ok(());
                }
                let at = self.time.map(|c| cells.time(c)).transpose();
                let point = at.and_then(|time| {
                    let step = self.step.map_or(Ok(number), |c| cells.step(c))?;
                    Ok((time, step, cells.number(*value)?))
                });
                let Some((time, step, number)) = cells.check(point)? else {
                    return Ok(());
                };
                cells.point(curve, *value, (time, step, number), each)
            }
            Layout::Wide(curves) => {
                let at = self.time.map(|c| cells.time(c)).transpose();
                let at = at.and_then(|time| {
                    Ok((time, self.step.map_or(Ok(number), |c| cells.step(c))?))
                });
                let Some((time, step)) = cells.check(at)? else { return Ok(()) };
                if row.len() > self.columns.len() {
                    let what = format!(
                        "{} cells, but {} columns",
                        row.len(),
                        self.columns.len()
                    );
                    cells.check::<()>(Err((self.columns.len(), what)))?;
                }
                for (column, curve) in curves {
                    // Not every curve has a value in every row.
                    if matches!(row.get(*column), None | Some(b"" | NOT_AVAILABLE)) {
                        continue;
                    }
                    let number = cells.number(*column);
                    let Some(value) = cells.check(number)? else { continue };
                    cells.point(curve, *column, (time, step, value), each)?;
                }
                Ok(())
            }
        }
    }
}

/// A column, and what is wrong with its cell.
type Bad = (usize, String);

/// Parses a row's cells.
struct Cells<'a> {
    row: &'a Row<'a>,
    epoch: Option<f64>,
    columns: &'a [String],
    tally: &'a mut Tally,
    /// Whether it has been noted that wall times are not in seconds.
    is_scale_told: &'a mut bool,
    skip: bool,
    singles: bool,
}

impl<'a> Cells<'a> {
    /// Seconds since 1970, from a number or from text such as `2026-01-31T12:00:00Z`.
    fn time(&mut self, column: usize) -> std::result::Result<f64, Bad> {
        let text = self.text(column)?;
        let time = match self.number(column) {
            Ok(time) => time,
            Err(bad) => return parse_iso8601(text).ok_or(bad),
        };
        if !time.is_finite() {
            return Err((
                column,
                format!(
                    "{time} is not a time; TensorBoard stops reading at such a point"
                ),
            ));
        }
        let Some((unit, in_a_second)) = time_unit(time) else { return Ok(time) };
        if !std::mem::replace(self.is_scale_told, true) {
            let place = self.place(column);
            self.tally
                .scaled_times
                .add(|| format!("{place}: {text} is read as {unit} since 1970"));
        }
        Ok(time / in_a_second)
    }

    /// A whole number. `3.0` is accepted, since pandas writes whole numbers that way.
    fn step(&self, column: usize) -> std::result::Result<i64, Bad> {
        let text = self.text(column)?;
        if let Ok(step) = text.parse() {
            return Ok(step);
        }
        match text.parse::<f64>() {
            // Whole numbers up to 2^53 are exact in float64.
            Ok(step) if step.fract() == 0.0 && step.abs() <= 9_007_199_254_740_992.0 => {
                Ok(step as i64)
            }
            _ => Err((
                column,
                format!("{:?} is not a step: steps are whole numbers", text::shown(text)),
            )),
        }
    }

    fn number(&self, column: usize) -> std::result::Result<f64, Bad> {
        let text = self.text(column)?;
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
        // A decimal comma, if cells are not separated by commas.
        if self.row.delimiter != b','
            && text.matches(',').count() == 1
            && let Ok(number) = text.replace(',', ".").parse()
        {
            return Ok(number);
        }
        Err((column, format!("{:?} is not a number", text::shown(text))))
    }

    fn text(&self, column: usize) -> std::result::Result<&'a str, Bad> {
        match self.row.get(column) {
            None | Some(b"") => Err((column, "the cell is missing".to_owned())),
            Some(cell) => std::str::from_utf8(cell).map_err(|_| {
                (column, {
                    let text = String::from_utf8_lossy(cell);
                    format!("{:?} is not UTF-8 text", text::shown(&text))
                })
            }),
        }
    }

    /// Returns a good cell. A bad cell is an error, or is counted.
    fn check<T>(&mut self, cell: std::result::Result<T, Bad>) -> Result<Option<T>> {
        match cell {
            Ok(value) => Ok(Some(value)),
            Err((column, what)) => {
                let place = self.place(column);
                if !self.skip {
                    return Err(Error::failed(format_args!(
                        "{place}: {what}; --skip-bad leaves such cells out"
                    )));
                }
                self.tally.bad.add(|| format!("{place}: {what}"));
                Ok(None)
            }
        }
    }

    fn place(&self, column: usize) -> String {
        let name =
            self.columns.get(column).map_or(String::new(), |name| format!(" ({name})"));
        format!("line {}, column {}{name}", self.row.line, column + 1)
    }

    fn point(
        &mut self,
        curve: &mut Curve,
        column: usize,
        (wall_time, step, value): (Option<f64>, i64, f64),
        each: &mut impl FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        if !value.is_finite() {
            let place = self.place(column);
            self.tally.non_finite.add(|| format!("{place}: {:?} is {value}", curve.name));
        } else if self.singles && (value as f32).is_infinite() {
            let place = self.place(column);
            let (name, why) = (
                &curve.name,
                "too large for a float32, so it becomes infinite; --encoding double \
                 keeps it",
            );
            self.tally
                .non_finite
                .add(|| format!("{place}: {name:?} is {value:e}, {why}"));
        }
        if let Some((last, last_value)) = curve.last {
            let is_same = step == last && value.to_bits() == last_value.to_bits();
            if step <= last && !is_same {
                let line = self.row.line;
                let name = &curve.name;
                self.tally.not_increasing.add(|| {
                    format!(
                        "line {line}: step {step} of {name:?} comes after step {last}"
                    )
                });
            }
        }
        curve.last = Some((step, value));
        self.tally.points += 1;
        let run = &curve.run;
        let epoch = self.epoch;
        each(Point { run, wall_time, step, epoch, tag: &curve.name, value })
    }
}

/// The unit of a wall time, judged by its size, and how many of it a second has. `None`
/// for seconds, which reach 10^11 in the year 5138.
fn time_unit(time: f64) -> Option<(&'static str, f64)> {
    match time.abs() {
        t if t >= 1e17 => Some(("nanoseconds", 1e9)),
        t if t >= 1e14 => Some(("microseconds", 1e6)),
        t if t >= 1e11 => Some(("milliseconds", 1e3)),
        _ => None,
    }
}

fn two_tags(name: &str) -> Error {
    Error::usage(format_args!(
        "two tags would both be called {name:?}: give another name with --rename"
    ))
}

/// `Wall time` and `wall_time` are the same.
fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

#[cfg(test)]
mod tests;
