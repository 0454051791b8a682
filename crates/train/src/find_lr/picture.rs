//! A range test's curve as a PNG.

use torchmill::Result;
use torchmill::line_chart::{self, Chart, Line};

use super::curve::Curve;
use super::scale::Scale;

const SMOOTHED: [u8; 3] = [31, 95, 191];
const RAW: [u8; 3] = [188, 207, 236];
const SUGGESTED: [u8; 3] = [179, 71, 10];

/// Renders the PNG: the losses, their moving average, and a line at the suggestion.
pub fn png(curve: &Curve, title: &str) -> Result<Vec<u8>> {
    let scale = Scale::of(curve);
    let mut raw = Vec::new();
    let mut smoothed = Vec::new();
    for point in &curve.points {
        let across = scale.across(point.lr);
        raw.push((across, scale.up(point.loss)));
        smoothed.push((across, scale.up(point.smoothed)));
    }
    let mut lines = vec![
        Line { points: raw, colour: RAW, width: 2 },
        Line { points: smoothed, colour: SMOOTHED, width: 3 },
    ];
    if let Some(lr) = curve.suggestion() {
        let across = scale.across(lr);
        let points = vec![(across, 0.0), (across, 1.0)];
        lines.push(Line { points, colour: SUGGESTED, width: 2 });
    }
    let power =
        |exponent: i32| (scale.across(10f64.powi(exponent)), format!("1e{exponent}"));
    let loss_label = |loss: f64| (scale.up(loss), format!("{loss:.3}"));
    line_chart::draw(&Chart {
        title: title.to_owned(),
        subtitle: curve.advice(),
        x_label: "learning rate".to_owned(),
        x_ticks: scale.exponents().into_iter().map(power).collect(),
        y_ticks: scale.losses().into_iter().map(loss_label).collect(),
        lines,
    })
}
