//! Where a range test's curve is drawn.

use super::curve::{Curve, Point};

/// The range of the learning rates, on a logarithmic axis, and that of the losses.
pub struct Scale {
    /// Of the logarithm of the learning rate.
    first: f64,
    last: f64,
    low: f64,
    high: f64,
}

impl Scale {
    /// The scale that shows the smoothed losses.
    pub fn of(curve: &Curve) -> Self {
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

    /// Where a learning rate is: 0 at the left, 1 at the right.
    pub fn across(&self, lr: f64) -> f64 {
        (lr.log10() - self.first) / (self.last - self.first).max(1e-9)
    }

    /// Where a loss is: 0 at the bottom, 1 at the top. Those beyond are at the edge.
    pub fn up(&self, loss: f64) -> f64 {
        (loss.clamp(self.low, self.high) - self.low) / (self.high - self.low)
    }

    /// The losses that the vertical axis names.
    pub fn losses(&self) -> [f64; 5] {
        let step = (self.high - self.low) / 4.0;
        [0.0, 1.0, 2.0, 3.0, 4.0].map(|part| self.low + part * step)
    }

    /// The powers of ten that the horizontal axis names.
    pub fn exponents(&self) -> Vec<i32> {
        let mut exponents = Vec::new();
        let mut exponent = self.first.ceil() as i32;
        while f64::from(exponent) <= self.last + 1e-9 {
            exponents.push(exponent);
            exponent += 1;
        }
        exponents
    }
}
