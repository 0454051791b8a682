//! Dynamic loss scaling for float16: torch.amp.GradScaler, with its defaults.
//!
//! Small gradients underflow in float16, so the loss is scaled up before the backward
//! pass, and the gradients down after it. If a gradient overflows, the step is skipped
//! and the scale is halved. After many steps without overflow, the scale is doubled.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, no_grad};
use torchmill::Result;

use crate::torch_error;

const INITIAL: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const INTERVAL: u32 = 2_000;

/// The scale and the number of steps that it has held.
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
    /// The factor for the loss before the backward pass.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Divides the gradients by the scale in place and returns whether all are finite. If
    /// not, the step must be skipped. Then updates the scale. This waits for the device
    /// once.
    pub fn unscale(&mut self, gradients: &mut [Tensor]) -> Result<bool> {
        let finite = no_grad(|| self.divide(gradients)).map_err(|e| torch_error(&e))?;
        self.update(finite);
        Ok(finite)
    }

    fn divide(&self, gradients: &mut [Tensor]) -> Result<bool, TchError> {
        let mut finite = Vec::with_capacity(gradients.len());
        for gradient in gradients {
            let _ = gradient.f_mul_scalar_(1.0 / self.scale)?;
            finite.push(gradient.f_isfinite()?.f_all()?);
        }
        if finite.is_empty() {
            return Ok(true);
        }
        let all = Tensor::f_stack(&finite, 0)?.f_all()?;
        Ok(all.f_double_value(&[])? != 0.0)
    }

    fn update(&mut self, finite: bool) {
        self.held += 1;
        if !finite {
            self.scale *= BACKOFF;
            self.held = 0;
        } else if self.held == INTERVAL {
            self.scale *= GROWTH;
            self.held = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_scale_halves_at_infinity_and_doubles_after_a_while() {
        let mut scaler = Scaler::default();
        let mut fine = [Tensor::from_slice(&[65_536.0_f32, -131_072.0])];
        assert!(scaler.unscale(&mut fine).unwrap());
        assert_eq!(crate::tensor::floats(&fine[0]), [1.0, -2.0]);
        let mut overflown =
            [Tensor::from_slice(&[1.0_f32]), Tensor::from_slice(&[f32::INFINITY])];
        assert!(!scaler.unscale(&mut overflown).unwrap());
        assert_eq!(scaler.scale(), 32_768.0);
        for _ in 0..1_999 {
            scaler.update(true);
        }
        assert_eq!(scaler.scale(), 32_768.0);
        scaler.update(true);
        assert_eq!(scaler.scale(), 65_536.0);
    }
}
