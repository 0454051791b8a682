//! The axes of a range test's curve.

use super::curve::{Curve, Point};

/// The ranges of the learning rates, on a logarithmic axis, and of the losses.
pub struct Scale {
    /// The logarithm of the first learning rate.
    first: f64,
    last: f64,
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale that fits the smoothed losses.
    pub fn of(curve: &Curve) -> Self {
        let log = |point: Option<&Point>| point.map_or(0.0, |point| point.lr.log10());
        let smoothed = || curve.points.iter().map(|point| point.smoothed);
        let low = smoothed().fold(f64::INFINITY, f64::min).min(f64::MAX);
        let start = smoothed().next().unwrap_or(1.0);
        // Leaves out the end, where the loss explodes: it would flatten the rest.
        let high = smoothed().fold(low, f64::max).min(1.5 * start.max(low));
        let room = (high - low).max(1e-9) * 0.08;
        Self {
            first: log(curve.points.first()),
            last: log(curve.points.last()),
            low: low - room,
            high: high + room,
        }
    }

    /// The horizontal position of a learning rate: 0 is left, 1 is right.
    pub fn across(&self, lr: f64) -> f64 {
        (lr.log10() - self.first) / (self.last - self.first).max(1e-9)
    }

    /// The vertical position of a loss: 0 is bottom, 1 is top. Others are clamped.
    pub fn up(&self, loss: f64) -> f64 {
        (loss.clamp(self.low, self.high) - self.low) / (self.high - self.low)
    }

    /// The losses with a label on the vertical axis: three to seven round numbers.
    pub fn losses(&self) -> Vec<f64> {
        let least = (self.high - self.low) / 6.0;
        let power = 10f64.powf(least.log10().floor());
        let factors = [1.0, 2.0, 2.5, 5.0];
        let factor = factors.into_iter().find(|factor| factor * power >= least);
        let step = factor.unwrap_or(10.0) * power;
        // A negative zero would be written as -0.000.
        let first = (self.low / step).ceil() + 0.0;
        let mut losses = Vec::new();
        for i in 0..7 {
            let loss = (first + f64::from(i)) * step;
            if loss <= self.high {
                losses.push(loss);
            }
        }
        losses
    }

    /// The powers of ten with a label on the horizontal axis.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_round_numbers_within_the_range() {
        let scale = Scale { first: -7.0, last: 0.0, low: 2.139, high: 3.541 };
        assert_eq!(scale.losses(), [2.25, 2.5, 2.75, 3.0, 3.25, 3.5]);
        let scale = Scale { first: -7.0, last: 0.0, low: -1.0, high: 23.0 };
        assert_eq!(scale.losses(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        // If the losses are too large for a step to change them, the loop must still end.
        let scale = Scale { first: -7.0, last: 0.0, low: 1e12, high: 1e12 + 0.001 };
        assert!(scale.losses().len() <= 7);
    }
}
