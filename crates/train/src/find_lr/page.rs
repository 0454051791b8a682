//! A range test's curve as a page that needs nothing else and runs no script.

use std::fmt::Write as _;

use super::curve::{Curve, Point};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>torchmill: learning-rate range test</title>
<style>
  :root { color-scheme: light dark; --ink: #1d1d1f; --soft: #595960; --rule: #dcdce0;
    --paper: #fff; --line: #1f5fbf; --mark: #b3470a; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e6e6e8; --soft: #a9a9b0;
    --rule: #3a3a3e; --paper: #18181a; --line: #7fb2ff; --mark: #ff9d57; } }
  body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink);
    background: var(--paper); margin: 0 auto; padding: 1.2rem; max-width: 60rem;
    overflow-wrap: anywhere; }
  h1 { font-size: 1.3rem; margin: 0 0 .5rem; }
  svg { width: 100%; height: auto; display: block; }
  svg text { fill: var(--soft); font-size: 13px; }
  .grid { stroke: var(--rule); }
  .raw, .smoothed { fill: none; stroke: var(--line); stroke-width: 2; }
  .raw { opacity: .3; stroke-width: 1; }
  .mark { stroke: var(--mark); stroke-dasharray: 5 4; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  td, th { text-align: right; padding: .1rem 1rem .1rem 0; font-weight: 400; }
  summary { cursor: pointer; color: var(--soft); margin-top: 1rem; }
</style>
</head>
<body>
"#;

/// The page.
pub fn html(curve: &Curve, recipe: &str, dataset: &str) -> String {
    let title = escape_html(&format!("Learning-rate range test: {recipe} on {dataset}"));
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "<h1>{title}</h1>");
    let _ = writeln!(page, "<p>{}</p>", escape_html(&curve.advice()));
    page.push_str(&svg(curve));
    page.push_str("<details><summary>The numbers</summary><table>\n");
    page.push_str("<tr><th>lr</th><th>loss</th><th>smoothed</th></tr>\n");
    for Point { lr, loss, smoothed } in &curve.points {
        let _ = writeln!(
            page,
            "<tr><td>{lr:.2e}</td><td>{loss:.4}</td><td>{smoothed:.4}</td></tr>"
        );
    }
    page.push_str("</table></details>\n</body>\n</html>\n");
    page
}

/// The text with the characters escaped that HTML gives a meaning.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Where values are drawn.
struct Scale {
    /// Of the logarithm of the learning rate.
    first: f64,
    last: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn of(curve: &Curve) -> Self {
        let log = |point: Option<&Point>| point.map_or(0.0, |point| point.lr.log10());
        let smoothed = || curve.points.iter().map(|point| point.smoothed);
        let low = smoothed().fold(f64::INFINITY, f64::min).min(f64::MAX);
        let start = smoothed().next().unwrap_or(1.0);
        // The end, where the loss explodes, would flatten the rest.
        let high = smoothed().fold(low, f64::max).min(1.5 * start.max(low));
        let room = (high - low).max(1e-9) * 0.08;
        Self {
            first: log(curve.points.first()),
            last: log(curve.points.last()),
            low: low - room,
            high: high + room,
        }
    }

    fn x(&self, lr: f64) -> f64 {
        let share = (lr.log10() - self.first) / (self.last - self.first).max(1e-9);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, loss: f64) -> f64 {
        let share = (loss.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

fn svg(curve: &Curve) -> String {
    let scale = Scale::of(curve);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"loss by learning rate; the numbers are below\">\n"
    );
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for part in 0..=4 {
        let loss = scale.low + (scale.high - scale.low) * f64::from(part) / 4.0;
        let y = scale.y(loss);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" \
             y2=\"{y:.1}\"/><text x=\"{:.0}\" y=\"{:.1}\" \
             text-anchor=\"end\">{loss:.3}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    let mut exponent = scale.first.ceil() as i32;
    while f64::from(exponent) <= scale.last + 1e-9 {
        let x = scale.x(10f64.powi(exponent));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">1e{exponent}</text>",
            bottom + 20.0
        );
        exponent += 1;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">learning rate</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 8.0
    );
    for (class, value) in
        [("raw", (|point| point.loss) as fn(&Point) -> f64), ("smoothed", |p| p.smoothed)]
    {
        let mut path = String::new();
        for point in &curve.points {
            let pen = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(
                path,
                "{pen}{:.1} {:.1}",
                scale.x(point.lr),
                scale.y(value(point))
            );
        }
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    if let Some(lr) = curve.suggestion() {
        let x = scale.x(lr);
        let _ = writeln!(
            svg,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" \
             y2=\"{bottom}\"/>"
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_curve_and_no_name_is_html() {
        let mut curve = Curve::default();
        while !curve.is_over() {
            let lr = curve.next_lr();
            curve.add(if lr > 0.1 { 10.0 * lr } else { 2.0 - 10.0 * lr });
        }
        let page = html(&curve, "<b>mine", "a&b");
        assert!(page.contains("&lt;b&gt;mine on a&amp;b"), "{page}");
        assert_eq!(page.matches("<path class=").count(), 2);
        assert_eq!(page.matches("<tr>").count(), curve.points.len() + 1);
        assert!(page.contains("class=\"mark\"") && !page.contains("NaN"));
        // Even for one point.
        let mut one = Curve::default();
        one.add(1.0);
        one.add(f64::NAN);
        assert!(!html(&one, "a", "b").contains("NaN"));
    }
}
