//! Curves in memory, for drawing.

use torchmill::progress::note;
use torchmill::{Error, Result};

use crate::input::source::Source;
use crate::input::table::{Options, Point};
use crate::{convert, runs};

/// The curves of all inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// In the order in which their tags first appear.
    pub charts: Vec<Chart>,
    /// In the order in which they first appear.
    pub runs: Vec<Run>,
}

/// A run that has a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its name; empty for standard input.
    pub name: String,
    /// The first input that it comes from.
    pub source: Source,
}

/// One tag, with a curve for each run that has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The tag.
    pub tag: String,
    /// In the order of the runs.
    pub curves: Vec<Curve>,
}

/// One tag of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The run's name.
    pub run: String,
    /// In the order of the file.
    pub points: Vec<CurvePoint>,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The step.
    pub step: i64,
    /// Finite, infinite or NaN.
    pub value: f64,
    /// Seconds since 1970-01-01 00:00 UTC, if known.
    pub wall_time: Option<f64>,
    /// The epoch, if known.
    pub epoch: Option<f64>,
}

/// Reads all inputs. Inputs without points are named; it is an error if no input has any.
/// `named` replaces the name of the only run.
pub fn read(
    sources: &[Source],
    named: Option<&str>,
    options: &Options,
) -> Result<Curves> {
    let names = runs::names(sources, named)?;
    let mut empty = Vec::new();
    let mut curves = Curves { charts: Vec::new(), runs: Vec::new() };
    for (source, name) in sources.iter().zip(names) {
        let feed = source.read(options, &mut |point| {
            let run = name.join(point.run).to_string_lossy().into_owned();
            curves.add(run.trim_end_matches('/'), source, &point);
            Ok(())
        })?;
        match feed.emptiness() {
            Some(why) => empty.push(Error::failed(why).within(source)),
            None => convert::report(source, &feed, options),
        }
    }
    // Runs with points are drawn even if others have none.
    match empty.first() {
        Some(first) if curves.charts.is_empty() => Err(first.clone()),
        _ => {
            empty.iter().for_each(note);
            Ok(curves)
        }
    }
}

impl Curves {
    fn add(&mut self, run: &str, source: &Source, point: &Point) {
        if !self.runs.iter().any(|known| known.name == run) {
            self.runs.push(Run { name: run.to_owned(), source: source.clone() });
        }
        let chart = match self.charts.iter().position(|chart| chart.tag == point.tag) {
            Some(index) => &mut self.charts[index],
            None => {
                let tag = point.tag.to_owned();
                self.charts.push(Chart { tag, curves: Vec::new() });
                let last = self.charts.len() - 1;
                &mut self.charts[last]
            }
        };
        let new = CurvePoint {
            step: point.step,
            value: point.value,
            wall_time: point.wall_time,
            epoch: point.epoch,
        };
        match chart.curves.iter_mut().rev().find(|curve| curve.run == run) {
            Some(curve) => curve.points.push(new),
            None => chart.curves.push(Curve { run: run.to_owned(), points: vec![new] }),
        }
    }
}

/// The indices of about `most` values or fewer, which give the same picture at that many
/// columns. Each of `most / 5` equal stretches keeps its first value, the lowest and the
/// highest finite value, the first that is not finite, and the last.
pub fn thin_indices(values: &[f64], most: usize) -> Vec<usize> {
    if values.len() <= most {
        return (0..values.len()).collect();
    }
    let mut kept = Vec::with_capacity(most);
    let length = values.len().div_ceil((most / 5).max(1));
    for (stretch, start) in values.chunks(length).zip((0..).step_by(length)) {
        let mut chosen = vec![0, stretch.len() - 1];
        let by_value = |a: &usize, b: &usize| stretch[*a].total_cmp(&stretch[*b]);
        // Infinity and NaN are not drawn, and would take the place of values that are.
        let finite = || (0..stretch.len()).filter(|&i| stretch[i].is_finite());
        chosen.extend(finite().min_by(by_value));
        chosen.extend(finite().max_by(by_value));
        chosen.extend(stretch.iter().position(|value| !value.is_finite()));
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|i| start + i));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_extremes_and_where_values_are_not_finite() {
        let mut values: Vec<f64> = (0..10_000).map(|i| f64::from(i % 7)).collect();
        values[5_003] = 99.0;
        values[7_001] = -99.0;
        let kept = thin_indices(&values, 400);
        assert!(kept.len() <= 400 && kept.is_sorted_by(|a, b| a < b));
        for i in [0, 5_003, 7_001, 9_999] {
            assert!(kept.contains(&i), "{i}");
        }
        let few: Vec<usize> = (0..400).collect();
        assert_eq!(thin_indices(&values[..400], 400), few);
        values[5_004] = f64::NAN;
        values[7_002] = f64::NEG_INFINITY;
        let kept = thin_indices(&values, 400);
        for i in [5_003, 5_004, 7_001, 7_002] {
            assert!(kept.contains(&i), "{i}");
        }
        let kept = thin_indices(&[f64::NAN; 1000], 100);
        assert_eq!((kept[0], kept.last()), (0, Some(&999)));
    }
}
