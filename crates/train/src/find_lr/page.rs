//! A range test's curve as a self-contained page without scripts.

use std::fmt::Write as _;

use torchmill::html;

use super::curve::{Curve, Point};
use super::scale::Scale;

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
/*STYLE*/
  body { padding: 1.2rem; max-width: 60rem; overflow-wrap: anywhere; }
  svg { width: 100%; height: auto; display: block; overflow: visible; }
  svg text { fill: var(--soft); font-size: 13px; }
  /* The whole drawing shrinks on a phone. */
  @media (max-width: 40rem) { svg text { font-size: 22px; } }
  .raw, .smoothed { fill: none; stroke: var(--c0); stroke-width: 2; }
  .raw { opacity: .3; stroke-width: 1; }
  .raw, .smoothed, .mark { vector-effect: non-scaling-stroke; }
  .mark { stroke: var(--mark); stroke-dasharray: 5 4; }
  td, th { text-align: right; padding: .1rem 1rem .1rem 0; font-weight: 400; }
  summary { cursor: pointer; color: var(--soft); margin-top: 1rem; }
</style>
</head>
<body>
<main>
"#;

/// Renders the page.
pub fn page(curve: &Curve, title: &str) -> String {
    let mut page = HEAD.replacen("/*STYLE*/", html::STYLE, 1);
    let _ = writeln!(page, "<h1>{}</h1>", html::escape(title));
    let _ = writeln!(page, "<p>{}</p>", html::escape(&curve.advice()));
    page.push_str(&svg(curve));
    page.push_str("<details><summary>The numbers</summary><table>\n");
    page.push_str("<tr><th>lr</th><th>loss</th><th>smoothed</th></tr>\n");
    for Point { lr, loss, smoothed } in &curve.points {
        let _ = writeln!(
            page,
            "<tr><td>{lr:.2e}</td><td>{loss:.4}</td><td>{smoothed:.4}</td></tr>"
        );
    }
    page.push_str("</table></details>\n</main>\n</body>\n</html>\n");
    page
}

fn svg(curve: &Curve) -> String {
    let scale = Scale::of(curve);
    let across = |lr: f64| LEFT + scale.across(lr) * (WIDTH - LEFT - RIGHT);
    let up = |loss: f64| HEIGHT - BOTTOM - scale.up(loss) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"loss by learning rate; the numbers are below\">\n"
    );
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for loss in scale.losses() {
        let y = up(loss);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" \
             y2=\"{y:.1}\"/><text x=\"{:.0}\" y=\"{:.1}\" \
             text-anchor=\"end\">{loss:.3}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    for exponent in scale.exponents() {
        let x = across(10f64.powi(exponent));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">1e{exponent}</text>",
            bottom + 20.0
        );
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
            let _ = write!(path, "{pen}{:.1} {:.1}", across(point.lr), up(value(point)));
        }
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    if let Some(lr) = curve.suggestion() {
        let x = across(lr);
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
        let text = page(&curve, "<b>mine on a&b");
        assert!(text.contains("&lt;b&gt;mine on a&amp;b"), "{text}");
        assert_eq!(text.matches("<path class=").count(), 2);
        assert_eq!(text.matches("<tr>").count(), curve.points.len() + 1);
        assert!(text.contains("class=\"mark\"") && !text.contains("NaN"));
        // It also works for a single point.
        let mut one = Curve::default();
        one.add(1.0);
        one.add(f64::NAN);
        assert!(!page(&one, "a on b").contains("NaN"));
    }
}
