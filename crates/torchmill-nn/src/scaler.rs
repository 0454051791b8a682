//! Dynamic loss scaling for float16: torch.amp.GradScaler, with its defaults.
//!
//! Small gradients are zero in float16, so the loss is scaled up before backward and the
//! gradients down after it. A scale that makes them infinite is halved and the step left
//! out; one that has held for long is doubled.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

const INITIAL: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const INTERVAL: u32 = 2_000;

/// The scale and how long it has held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    scale: f64,
    held: u32,
}

impl Default for Scaler {
    fn default() -> Self {
        Self { scale: INITIAL, held: 0 }
    }
}

impl Scaler {
    /// What the loss is multiplied by before backward.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Divides the gradients by the scale, in place, and says whether all of them are
    /// finite: where they are not, the step must be left out. Then the scale is brought
    /// up to date.
    pub fn unscale(&mut self, gradients: &mut [Tensor]) -> bool {
        let finite = no_grad(|| {
            let mut all = Vec::new();
            for gradient in gradients.iter_mut() {
                let _ = gradient.g_mul_scalar_(1.0 / self.scale);
                all.push(gradient.isfinite().all());
            }
            all.is_empty()
                || Tensor::stack(&all, 0).to_kind(Kind::Float).min().double_value(&[])
                    > 0.0
        });
        self.update(finite);
        finite
    }

    fn update(&mut self, finite: bool) {
        if !finite {
            (self.scale, self.held) = (self.scale * BACKOFF, 0);
        } else if self.held + 1 == INTERVAL {
            (self.scale, self.held) = (self.scale * GROWTH, 0);
        } else {
            self.held += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_halves_at_infinity_and_doubles_after_a_while() {
        let mut scaler = Scaler::default();
        let mut fine = [Tensor::from_slice(&[65_536.0_f32, -131_072.0])];
        assert!(scaler.unscale(&mut fine));
        assert_eq!(crate::tensor::floats(&fine[0]), [1.0, -2.0]);
        assert!(!scaler.unscale(&mut [
            Tensor::from_slice(&[1.0_f32]),
            Tensor::from_slice(&[f32::INFINITY])
        ]));
        assert_eq!(scaler.scale(), 32_768.0);
        for _ in 0..1_999 {
            scaler.update(true);
        }
        assert_eq!(scaler.scale(), 32_768.0);
        scaler.update(true);
        assert_eq!(scaler.scale(), 65_536.0);
    }
}
