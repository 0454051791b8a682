//! Curves on one page that needs nothing else: data, style and script are in the file.

use std::path::Path;

use serde::Serialize;
use torchmill::{Error, Result, atomic, cli, progress};

use crate::curves::{Chart, thin};

const PAGE: &str = include_str!("page.html");
/// Where the data goes in the page.
const PLACE: &str = "/*CHARTS*/";
/// Points of a curve: more than a screen has columns.
const MOST_POINTS: usize = 4000;

#[derive(Serialize)]
struct Data<'a> {
    tag: &'a str,
    curves: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    /// How many there were before thinning.
    count: usize,
    steps: Vec<f64>,
    /// JSON has no NaN and no infinity: serde_json writes null for them, and the curve
    /// has a gap.
    values: Vec<f64>,
}

/// Writes the page, and says where; `-` is standard output.
pub fn write(charts: &[Chart], path: &Path) -> Result<()> {
    let page = page(charts)?;
    if path == Path::new("-") {
        return cli::print(page.as_bytes());
    }
    atomic::write(path, page.as_bytes())?;
    progress::note(path.display());
    Ok(())
}

fn page(charts: &[Chart]) -> Result<String> {
    let data: Vec<Data> = charts
        .iter()
        .map(|chart| Data {
            tag: &chart.tag,
            curves: chart
                .curves
                .iter()
                .map(|curve| {
                    let (steps, values) =
                        thin(&curve.points, MOST_POINTS).into_iter().unzip();
                    Line { run: &curve.run, count: curve.points.len(), steps, values }
                })
                .collect(),
        })
        .collect();
    let json = serde_json::to_string(&data)
        .map_err(|e| Error::failed(e).within("cannot write the page"))?;
    // Within a script element only `</` could end it, and `<!--` confuse it.
    Ok(PAGE.replacen(PLACE, &json.replace('<', "\\u003c"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::Curve;

    #[test]
    fn the_page_is_whole_and_names_nothing_outside() {
        let tag = "</script><b>loss".to_owned();
        let curve = Curve { run: "a".into(), points: vec![(1.0, 0.5), (2.0, f64::NAN)] };
        let page = page(&[Chart { tag, curves: vec![curve] }]).unwrap();
        assert!(page.contains(r#"[{"tag":"\u003c/script>\u003cb>loss","curves":[{"run":"a","count":2,"steps":[1.0,2.0],"values":[0.5,null]}]}]"#));
        assert!(
            !page.contains(PLACE) && !page.contains("src=") && !page.contains("href=")
        );
        assert_eq!(
            page.matches("http").count(),
            page.matches("http://www.w3.org/2000/svg").count()
        );
    }
}
