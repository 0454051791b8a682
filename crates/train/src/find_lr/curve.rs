//! The losses of a range test, the suggestion drawn from them, and the curve as text.

use torchmill::terminal;

/// The largest number of steps. The test ends earlier if the loss gets too large.
pub const STEPS: usize = 100;
const LOWEST: f64 = 1e-7;
const HIGHEST: f64 = 10.0;
/// The weight of the previous value in the smoothed loss.
const SMOOTHING: f64 = 0.9;
/// The test ends when the smoothed loss exceeds the best one by this factor.
const TOO_LARGE: f64 = 4.0;
/// The first steps reflect the initial weights more than the learning rate.
const SKIPPED: usize = 10;
/// The least fall of the loss in a step, relative to the first loss. Less is noise.
const LEAST_FALL: f64 = 1e-4;
/// The number of lines of the curve on the terminal.
const LINES: usize = 20;
const WIDTH: usize = 40;

/// The losses by learning rate.
#[derive(Debug, Default)]
pub struct Curve {
    /// The steps in order. All losses are finite.
    pub points: Vec<Point>,
    average: f64,
    best: f64,
    is_too_large: bool,
}

/// A step of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The learning rate of the step.
    pub lr: f64,
    /// The loss before the step.
    pub loss: f64,
    /// The moving average of the losses, with bias correction.
    pub smoothed: f64,
}

impl Curve {
    /// The number of steps done.
    pub fn steps(&self) -> usize {
        self.points.len()
    }

    /// The learning rate of the next step. It grows by a constant factor.
    pub fn next_lr(&self) -> f64 {
        let share = self.points.len() as f64 / (STEPS - 1) as f64;
        LOWEST * (HIGHEST / LOWEST).powf(share)
    }

    /// Adds the loss of the next step.
    pub fn add(&mut self, loss: f64) {
        if !loss.is_finite() {
            self.is_too_large = true;
            return;
        }
        let lr = self.next_lr();
        self.average = SMOOTHING * self.average + (1.0 - SMOOTHING) * loss;
        let weight = 1.0 - SMOOTHING.powi(self.points.len() as i32 + 1);
        let smoothed = self.average / weight;
        if self.points.is_empty() || smoothed < self.best {
            self.best = smoothed;
        }
        self.points.push(Point { lr, loss, smoothed });
        self.is_too_large = smoothed > TOO_LARGE * self.best;
    }

    /// Whether the test is over.
    pub fn is_over(&self) -> bool {
        self.is_too_large || self.points.len() >= STEPS
    }

    /// A learning rate to try: where the smoothed loss falls fastest, as in PyTorch
    /// Lightning, but at most a tenth of where the loss is lowest, as in fastai, because
    /// the loss explodes soon after that. `None` if the loss never falls.
    pub fn suggestion(&self) -> Option<f64> {
        let mut lowest = self.points.first()?;
        for point in &self.points {
            if point.smoothed < lowest.smoothed {
                lowest = point;
            }
        }
        Some(self.steepest()?.min(lowest.lr / 10.0))
    }

    /// The learning rate at which the smoothed loss falls fastest.
    fn steepest(&self) -> Option<f64> {
        let last = self.points.len().checked_sub(1)?;
        let mut steepest = None;
        let mut least = -LEAST_FALL * self.points[0].smoothed.abs();
        for i in SKIPPED.max(1)..last {
            let slope = (self.points[i + 1].smoothed - self.points[i - 1].smoothed) / 2.0;
            if slope < least {
                least = slope;
                steepest = Some(self.points[i].lr);
            }
        }
        steepest
    }

    /// One sentence of advice on the result.
    pub fn advice(&self) -> String {
        match self.suggestion() {
            Some(lr) => {
                let limit = if self.steepest() == Some(lr) {
                    format!("The loss falls fastest at {lr:.1e}")
                } else {
                    format!(
                        "The loss is lowest at {:.1e}, and a tenth is safe",
                        lr * 10.0
                    )
                };
                format!("{limit}: try --lr {}", rounded(lr))
            }
            None => "The loss never falls, so no learning rate is suggested.".to_owned(),
        }
    }

    /// The curve as lines with bars, followed by the advice.
    pub fn text(&self) -> String {
        let smoothed = || self.points.iter().map(|point| point.smoothed);
        let low = smoothed().fold(f64::INFINITY, f64::min);
        // Leaves out the end, where the loss explodes: it would flatten the rest.
        let start = self.points.first().map_or(1.0, |point| point.smoothed);
        let high = smoothed().fold(low, f64::max).min(1.5 * start.max(low));
        let mark = if terminal::unicode() { "\u{2588}" } else { "#" };
        let every = self.points.len().div_ceil(LINES).max(1);
        let suggestion = self.suggestion();
        let mut text = format!("{:>8}  {:>9}\n", "lr", "loss");
        for (i, points) in self.points.chunks(every).enumerate() {
            let first = points[0].lr;
            let next = self.points.get((i + 1) * every).map_or(HIGHEST, |point| point.lr);
            let point = points[points.len() / 2];
            let share = (point.smoothed - low) / (high - low).max(f64::MIN_POSITIVE);
            let bar =
                mark.repeat((share.clamp(0.0, 1.0) * WIDTH as f64).round() as usize);
            let is_here = suggestion.is_some_and(|lr| first <= lr && lr < next);
            let note = if is_here { " <- suggested" } else { "" };
            let line =
                format!("{:>8.1e}  {:>9.4}  {bar}{note}", point.lr, point.smoothed);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        format!("{text}{}\n", self.advice())
    }
}

/// Rounds to one significant digit, because the test is not more precise.
fn rounded(lr: f64) -> f64 {
    format!("{lr:.0e}").parse().unwrap_or(lr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(loss: impl Fn(f64) -> f64) -> Curve {
        let mut curve = Curve::default();
        while !curve.is_over() {
            curve.add(loss(curve.next_lr()));
        }
        curve
    }

    #[test]
    fn learning_rates_grow_by_a_factor() {
        let curve = curve(|_| 1.0);
        assert_eq!(curve.points.len(), STEPS);
        assert_eq!(curve.points[0].lr, 1e-7);
        assert!((curve.points[99].lr - 10.0).abs() < 1e-9);
        assert_eq!(curve.suggestion(), None);
        assert!(curve.text().contains("no learning rate is suggested"));
    }

    #[test]
    fn the_steepest_fall_is_suggested() {
        // The loss falls around 0.01 and explodes beyond 1.
        let loss = |lr: f64| {
            if lr > 1.0 { 100.0 * lr } else { 2.3 - 1.5 / (1.0 + (0.01 / lr).powi(2)) }
        };
        let curve = curve(loss);
        let suggestion = curve.suggestion().unwrap();
        assert!((0.005..0.03).contains(&suggestion), "{suggestion}");
        assert!(curve.points.len() < STEPS, "it ends when the loss explodes");
        let text = curve.text();
        assert_eq!(text.matches("<- suggested").count(), 1, "{text}");
        assert!(text.contains("The loss falls fastest at "), "{text}");
        assert!(text.ends_with(&format!("try --lr {}\n", rounded(suggestion))));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_rate_next_to_the_explosion_is_not_suggested() {
        // It falls faster and faster until it explodes at 1.
        let curve = curve(|lr| if lr > 1.0 { 100.0 * lr } else { 2.3 - lr });
        let suggestion = curve.suggestion().unwrap();
        assert!((0.07..0.1).contains(&suggestion), "{suggestion}");
        let text = curve.text();
        assert_eq!(text.matches("<- suggested").count(), 1, "{text}");
        assert!(text.contains("and a tenth is safe: try --lr 0.0"), "{text}");
    }

    #[test]
    fn a_loss_that_is_not_finite_ends_it() {
        let curve = curve(|lr| if lr > 1e-3 { f64::NAN } else { 2.0 });
        assert!(curve.points.iter().all(|point| point.lr <= 1e-3));
        assert_eq!(rounded(0.0123), 0.01);
    }
}
