//! Curves on one self-contained page: data, style and script are in the file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;
use torchmill::metric::{self, Direction};
use torchmill::run::log::{self, Event};
use torchmill::run::{LOG, METRICS};
use torchmill::{Result, html, progress};

use crate::curves::{Chart, Curve, CurvePoint, Curves, Run, thin_indices};
use crate::event::proto::HParamKind;
use crate::hparams;

const PAGE: &str = include_str!("page.html");
/// The maximum number of points on the page, in all curves together: about 600 kB.
const MOST_POINTS: usize = 30_000;
/// The maximum number of points of a curve, within these limits: no screen has more
/// columns than the upper one.
const POINTS_OF_A_CURVE: std::ops::RangeInclusive<usize> = 100..=4000;

#[derive(Serialize)]
struct Data<'a> {
    runs: Vec<RunData<'a>>,
    charts: Vec<ChartData<'a>>,
}

#[derive(Serialize)]
struct RunData<'a> {
    name: &'a str,
    /// The learning rate in config.toml.
    lr: Option<f64>,
    /// How the run ended, from run.jsonl; empty if unknown.
    outcome: String,
}

#[derive(Serialize)]
struct ChartData<'a> {
    tag: &'a str,
    mode: Direction,
    curves: Vec<CurveData>,
}

/// Steps, epochs and times are stored as differences to the point before, which are
/// short.
#[derive(Serialize)]
struct CurveData {
    /// The index of the run.
    run: usize,
    /// How many points there were before thinning.
    count: usize,
    steps: Vec<i64>,
    /// `None` if a point has none.
    epochs: Option<Vec<f64>>,
    /// Milliseconds since the run's first point; `None` if a point has none.
    times: Option<Vec<i64>>,
    /// Values with six digits. JSON has no NaN and infinity: serde_json writes null for
    /// them, and the curve has a gap.
    values: Vec<f64>,
}

/// Writes the page, and reports its path; `-` is standard output.
pub fn write(curves: &Curves, path: &Path) -> Result<()> {
    let page = page(curves)?;
    html::write(path, &page)?;
    if path != Path::new("-") {
        progress::note(path.display());
    }
    Ok(())
}

fn page(curves: &Curves) -> Result<String> {
    html::fill(PAGE, &data(curves))
}

fn data(curves: &Curves) -> Data<'_> {
    let count: usize = curves.charts.iter().map(|chart| chart.curves.len()).sum();
    let most = (MOST_POINTS / count.max(1))
        .clamp(*POINTS_OF_A_CURVE.start(), *POINTS_OF_A_CURVE.end());
    let starts = first_times(&curves.charts);
    let mut indices = HashMap::new();
    let mut runs = Vec::new();
    for run in &curves.runs {
        indices.insert(run.name.as_str(), runs.len());
        runs.push(run_data(run));
    }
    let mut charts = Vec::new();
    for chart in &curves.charts {
        let mut drawn = Vec::new();
        for curve in &chart.curves {
            let start = starts.get(curve.run.as_str()).copied();
            drawn.push(curve_data(curve, indices[curve.run.as_str()], start, most));
        }
        charts.push(ChartData { tag: &chart.tag, mode: mode(&chart.tag), curves: drawn });
    }
    Data { runs, charts }
}

/// Each run's first wall time, in seconds.
fn first_times(charts: &[Chart]) -> BTreeMap<&str, f64> {
    let mut starts = BTreeMap::new();
    for curve in charts.iter().flat_map(|chart| &chart.curves) {
        for time in curve.points.iter().filter_map(|point| point.wall_time) {
            let start = starts.entry(curve.run.as_str()).or_insert(time);
            *start = time.min(*start);
        }
    }
    starts
}

fn curve_data(curve: &Curve, run: usize, start: Option<f64>, most: usize) -> CurveData {
    let values: Vec<f64> = curve.points.iter().map(|point| point.value).collect();
    let kept: Vec<&CurvePoint> =
        thin_indices(&values, most).into_iter().map(|i| &curve.points[i]).collect();
    let millis = |point: &&CurvePoint| {
        let since = point.wall_time? - start?;
        Some((since * 1000.0).round() as i64)
    };
    let times: Option<Vec<i64>> = kept.iter().map(millis).collect();
    let epochs: Option<Vec<f64>> = kept.iter().map(|point| point.epoch).collect();
    let steps: Vec<i64> = kept.iter().map(|point| point.step).collect();
    CurveData {
        run,
        count: curve.points.len(),
        steps: differences(&steps, 0, i64::wrapping_sub),
        epochs: epochs.map(|epochs| differences(&epochs, 0.0, |a, b| a - b)),
        times: times.map(|times| differences(&times, 0, i64::wrapping_sub)),
        values: kept.iter().map(|point| six_digits(point.value)).collect(),
    }
}

/// The first value, and then the difference of each value to the one before.
fn differences<T: Copy>(values: &[T], zero: T, minus: fn(T, T) -> T) -> Vec<T> {
    let mut before = zero;
    let mut differences = Vec::new();
    for &value in values {
        differences.push(minus(value, before));
        before = value;
    }
    differences
}

/// Rounds to six digits. More cannot be seen, and would make the page twice as large.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Whether higher or lower values of a tag are better: by `train`'s metrics, or by common
/// names.
fn mode(tag: &str) -> Direction {
    if let Some(metric) = metric::of_tag(tag) {
        return metric.direction;
    }
    let tag = tag.to_lowercase();
    let is_more_better =
        ["acc", "f1", "precision", "recall", "auc"].iter().any(|name| tag.contains(name));
    if is_more_better { Direction::Max } else { Direction::Min }
}

fn run_data(run: &Run) -> RunData<'_> {
    let hparams = hparams::of_input(&run.source);
    let lr = hparams.iter().find_map(|(name, hparam)| {
        let is_lr = name == "lr" || name.ends_with(".lr");
        match hparam.kind {
            Some(HParamKind::Number(number)) if is_lr => Some(number),
            _ => None,
        }
    });
    RunData { name: &run.name, lr, outcome: outcome(run) }
}

/// How the run ended, from the run.jsonl next to its metrics.csv.
fn outcome(run: &Run) -> String {
    let Some(csv) = run.source.path() else { return String::new() };
    if csv.file_name().is_none_or(|name| name != METRICS) {
        return String::new();
    }
    // If it cannot be read, the curves are shown without the outcome.
    let events = log::read(&csv.with_file_name(LOG)).unwrap_or_default();
    match events.last() {
        Some(Event::End(end)) => end.outcome.text().to_owned(),
        Some(Event::Start(_)) => "running, or killed".to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::source::Source;

    fn point(step: i64, value: f64) -> CurvePoint {
        CurvePoint { step, value, wall_time: None, epoch: None }
    }

    fn curves(tag: &str, points: Vec<CurvePoint>, csv: &Path) -> Curves {
        let run = Run { name: "a".into(), source: Source::new(csv) };
        let curve = Curve { run: "a".into(), points };
        Curves {
            charts: vec![Chart { tag: tag.into(), curves: vec![curve] }],
            runs: vec![run],
        }
    }

    #[test]
    fn the_page_is_whole_and_names_nothing_outside() {
        let points = vec![point(1, 0.5), point(2, f64::NAN)];
        let curves = curves("</script><b>loss", points, Path::new("none/a.csv"));
        let page = page(&curves).unwrap();
        assert!(page.contains(
            r#"{"runs":[{"name":"a","lr":null,"outcome":""}],"charts":[{"tag":"\u003c/script>\u003cb>loss","mode":"min","curves":[{"run":0,"count":2,"steps":[1,1],"epochs":null,"times":null,"values":[0.5,null]}]}]}"#
        ));
        assert!(
            !page.contains("/*DATA*/")
                && !page.contains("src=")
                && !page.contains("href=")
        );
        assert_eq!(
            page.matches("://").count(),
            page.matches("http://www.w3.org/2000/svg").count()
        );
    }

    #[test]
    fn runs_have_their_learning_rate_and_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("metrics.csv");
        let mut points = vec![point(5, 0.123_456_789), point(7, 2.0)];
        for (i, time) in [10.0, 11.5].into_iter().enumerate() {
            points[i].wall_time = Some(time);
            points[i].epoch = Some(i as f64 + 1.0);
        }
        let curves = curves("test accuracy", points, &csv);
        std::fs::write(folder.path().join("config.toml"), "[optimizer]\nlr = 0.25\n")
            .unwrap();
        let log = folder.path().join("run.jsonl");
        std::fs::write(&log, "{\"event\":\"start\"}\n").unwrap();
        let json = serde_json::to_string(&data(&curves)).unwrap();
        assert!(json.contains(r#""lr":0.25,"outcome":"running, or killed""#), "{json}");
        std::fs::write(&log, "{\"event\":\"end\",\"outcome\":\"done\"}\n").unwrap();
        let json = serde_json::to_string(&data(&curves)).unwrap();
        assert!(json.contains(r#""outcome":"done""#), "{json}");
        assert!(
            json.contains(
                r#""mode":"max","curves":[{"run":0,"count":2,"steps":[5,2],"epochs":[1.0,1.0],"times":[0,1500],"values":[0.123457,2.0]}]"#
            ),
            "{json}"
        );
    }

    #[test]
    fn ten_long_runs_are_less_than_a_megabyte() {
        let mut charts = Vec::new();
        let mut runs = Vec::new();
        for run in 0..10 {
            runs.push(Run { name: format!("run-{run}"), source: Source::Stdin });
        }
        for tag in ["train loss", "x/lr"] {
            let mut curves = Vec::new();
            for run in &runs {
                let point = |i: i64| CurvePoint {
                    step: i * 7,
                    value: (i as f64 * 12.9898).sin(),
                    wall_time: Some(1.7e9 + i as f64 * 0.123_4),
                    epoch: Some((i / 937) as f64),
                };
                let points = (0..100_000).map(point).collect();
                curves.push(Curve { run: run.name.clone(), points });
            }
            charts.push(Chart { tag: tag.into(), curves });
        }
        let page = page(&Curves { charts, runs }).unwrap();
        assert!(page.len() < 1_000_000, "{}", page.len());
    }
}
