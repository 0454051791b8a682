//! Curves in memory, for drawing.

use torchmill::progress::note;
use torchmill::{Error, Result};

use crate::input::source::Source;
use crate::input::table::Options;
use crate::{convert, runs};

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
    /// Step and value, in the order of the file; values may be infinite or NaN.
    pub points: Vec<(f64, f64)>,
}

/// Reads all inputs; charts come in the order in which their tags first appear. Inputs
/// without a point are named, and are an error where none has any. `named` is the only
/// run's name, instead of its own.
pub fn read(
    sources: &[Source],
    named: Option<&str>,
    options: &Options,
) -> Result<Vec<Chart>> {
    let names = runs::names(sources, named)?;
    let mut empty = Vec::new();
    let mut charts: Vec<Chart> = Vec::new();
    for (source, name) in sources.iter().zip(names) {
        let feed = source.read(options, &mut |point| {
            let run =
                name.join(point.run).to_string_lossy().trim_end_matches('/').to_owned();
            let chart = match charts.iter().position(|chart| chart.tag == point.tag) {
                Some(i) => &mut charts[i],
                None => {
                    charts.push(Chart { tag: point.tag.to_owned(), curves: Vec::new() });
                    let last = charts.len() - 1;
                    &mut charts[last]
                }
            };
            let new = (point.step as f64, point.value);
            match chart.curves.iter_mut().rev().find(|curve| curve.run == run) {
                Some(curve) => curve.points.push(new),
                None => chart.curves.push(Curve { run, points: vec![new] }),
            }
            Ok(())
        })?;
        match feed.emptiness() {
            Some(why) => empty.push(Error::failed(why).within(source)),
            None => convert::report(source, &feed, options),
        }
    }
    // A run that has only begun is no reason not to look at the others.
    match empty.first() {
        Some(first) if charts.is_empty() => Err(first.clone()),
        _ => {
            empty.iter().for_each(note);
            Ok(charts)
        }
    }
}

/// At most about `most` points, which draw the same picture at that many columns: of each
/// of `most / 4` equal stretches the first, the lowest and the highest finite, and the
/// last point.
pub fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let mut thinned = Vec::with_capacity(most);
    for stretch in points.chunks(points.len().div_ceil((most / 4).max(1))) {
        let value = |i: &usize| stretch[*i].1;
        // What is infinite or NaN is not drawn, and would hide what is.
        let finite = || (0..stretch.len()).filter(|i| value(i).is_finite());
        let lowest = finite().min_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or(0);
        let highest = finite().max_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or(0);
        let mut kept = [0, lowest, highest, stretch.len() - 1];
        kept.sort_unstable();
        for (i, &k) in kept.iter().enumerate() {
            if i == 0 || kept[i - 1] != k {
                thinned.push(stretch[k]);
            }
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_extremes() {
        let mut points: Vec<(f64, f64)> =
            (0..10_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[5_003].1 = 99.0;
        points[7_001].1 = -99.0;
        let thinned = thin(&points, 400);
        assert!(thinned.len() <= 400 && thinned.is_sorted_by(|a, b| a.0 < b.0));
        for i in [0, 5_003, 7_001, 9_999] {
            assert!(thinned.contains(&points[i]), "{i}");
        }
        assert_eq!(thin(&points[..400], 400), points[..400]);
        points[5_004].1 = f64::NAN;
        points[7_002].1 = f64::NEG_INFINITY;
        let thinned = thin(&points, 400);
        assert!(thinned.contains(&points[5_003]) && thinned.contains(&points[7_001]));
    }
}
