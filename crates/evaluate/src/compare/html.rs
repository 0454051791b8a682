//! `--compare --html`: the table of runs with their curves, on one page.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use torchmill::{Result, html};

use super::Object;
use super::run::{EpochMean, Run};

const PAGE: &str = include_str!("page.html");

#[derive(Serialize)]
struct Data<'a> {
    /// The metric that the runs are sorted by.
    sort: &'a str,
    tags: &'a [String],
    /// The settings that differ between runs.
    settings: &'a [String],
    runs: Vec<RunData<'a>>,
}

#[derive(Serialize)]
struct RunData<'a> {
    #[serde(flatten)]
    run: Object<'a>,
    /// Epochs and values by tag. JSON has no NaN, so serde_json writes null.
    curves: BTreeMap<&'a str, Vec<(u64, f64)>>,
}

/// Writes the page. `-` is standard output.
pub fn write(
    path: &Path,
    runs: &[Run],
    sort: &str,
    tags: &[String],
    settings: &[String],
) -> Result<()> {
    let page = page(runs, sort, tags, settings)?;
    html::write(path, &page)
}

fn page(
    runs: &[Run],
    sort: &str,
    tags: &[String],
    settings: &[String],
) -> Result<String> {
    let mut data = Data { sort, tags, settings, runs: Vec::new() };
    for run in runs {
        let mut curves = BTreeMap::new();
        for (tag, means) in &run.curves {
            curves.insert(tag.as_str(), means.iter().map(point).collect());
        }
        data.runs.push(RunData { run: Object::new(run, settings), curves });
    }
    html::fill(PAGE, &data)
}

/// The epoch and the mean with six digits. More digits would not be visible.
fn point(mean: &EpochMean) -> (u64, f64) {
    let value = mean.value();
    (mean.epoch, format!("{value:.5e}").parse().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use torchmill::metrics::Point;

    use super::*;

    #[test]
    fn the_page_has_each_runs_curves_and_names_nothing_outside() {
        let mut run = Run { name: "</script><b>".into(), ..Run::default() };
        for (step, epoch, value) in [(1, 1, 3.0), (2, 1, 1.0), (3, 2, f64::NAN)] {
            let tag = "train loss".to_owned();
            run.add(Point { wall_time: 0.0, step, epoch, tag, value });
        }
        let tags = ["train loss".to_owned()];
        let page = page(&[run], "train loss", &tags, &[]).unwrap();
        assert!(page.contains(r#""run":"\u003c/script>\u003cb>""#), "{page}");
        assert!(page.contains(r#""curves":{"train loss":[[1,2.0],[2,null]]}"#), "{page}");
        assert!(!page.contains("/*DATA*/") && !page.contains("src="));
        assert_eq!(
            page.matches("://").count(),
            page.matches("http://www.w3.org/2000/svg").count()
        );
    }
}
