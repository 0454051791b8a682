//! Dynamic loss scaling for float16: torch.amp.GradScaler, with its defaults.
//!
//! Small gradients underflow in float16, so the loss is scaled up before the backward
//! pass, and the gradients down after it. If a gradient overflows, the step is skipped
//! and the scale is halved. After many steps without overflow, the scale is doubled.
//!
//! Only the device knows the scale and whether a gradient overflowed. The optimizer takes
//! the flag as a tensor, so no step waits for the device.

use serde::{Deserialize, Serialize};
use tch::{Device, TchError, Tensor, no_grad};
use torchmill::Result;

use crate::kernel::loss_scale;
use crate::tensor::{f_download, f_upload, number};
use crate::torch_error;

const INITIAL: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const INTERVAL: i64 = 2_000;

/// The scale and the number of steps that it has held, as saved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScalerState {
    scale: f64,
    held: u32,
}

impl Default for ScalerState {
    fn default() -> Self {
        Self { scale: INITIAL, held: 0 }
    }
}

/// The scale, on the device of the gradients.
#[derive(Debug)]
pub struct Scaler {
    /// Float32, a scalar.
    scale: Tensor,
    /// Int32, a scalar: the number of steps without overflow since the scale changed.
    held: Tensor,
}

impl Scaler {
    /// Continues from a state, on a device.
    pub fn new(state: ScalerState, device: Device) -> Result<Self> {
        let upload = || {
            Ok(Self {
                scale: f_upload(&number(state.scale as f32), device)?,
                held: f_upload(&number(state.held.cast_signed()), device)?,
            })
        };
        upload().map_err(|e: TchError| torch_error(&e).within("fp16's loss scale"))
    }

    /// The factor for the loss before the backward pass: a float32 scalar.
    pub fn scale(&self) -> &Tensor {
        &self.scale
    }

    /// Divides the gradients by the scale in place, and then updates the scale. Returns a
    /// float32 scalar on the device: 1 if a gradient is not finite and the step must be
    /// skipped, otherwise 0.
    pub fn unscale(&mut self, gradients: &mut [Tensor]) -> Result<Tensor> {
        let unscaled = no_grad(|| {
            let overflow = loss_scale::unscale(gradients, &self.scale)?;
            let _ = self.scale.f_internal_amp_update_scale_(
                &self.held, &overflow, GROWTH, BACKOFF, INTERVAL,
            )?;
            Ok(overflow)
        });
        unscaled.map_err(|e: TchError| torch_error(&e))
    }

    /// Reads the state back. Waits for the device.
    pub fn state(&self) -> Result<ScalerState> {
        self.download().map_err(|e| torch_error(&e).within("fp16's loss scale"))
    }

    fn download(&self) -> Result<ScalerState, TchError> {
        let copies = f_download(&[&self.held, &self.scale])?;
        let held = copies[0].f_int64_value(&[])?;
        Ok(ScalerState { scale: copies[1].f_double_value(&[])?, held: held as u32 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::tensor::floats;

    fn scaler(scale: f64, held: u32) -> Scaler {
        Scaler::new(ScalerState { scale, held }, Device::Cpu).unwrap()
    }

    #[test]
    fn the_scale_halves_if_a_gradient_is_not_finite() {
        let mut scaler = Scaler::new(ScalerState::default(), Device::Cpu).unwrap();
        let mut fine = [Tensor::from_slice(&[65_536.0_f32, -131_072.0])];
        assert_eq!(floats(&scaler.unscale(&mut fine).unwrap()), [0.0]);
        assert_eq!(floats(&fine[0]), [1.0, -2.0]);
        assert_eq!(scaler.state().unwrap(), ScalerState { scale: 65_536.0, held: 1 });
        for not_finite in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let before = scaler.state().unwrap().scale;
            let mut overflown =
                [Tensor::from_slice(&[1.0_f32]), Tensor::from_slice(&[not_finite])];
            assert_eq!(floats(&scaler.unscale(&mut overflown).unwrap()), [1.0]);
            let after = ScalerState { scale: before / 2.0, held: 0 };
            assert_eq!(scaler.state().unwrap(), after);
        }
    }

    #[test]
    fn the_scale_doubles_after_two_thousand_steps() {
        let mut scaler = scaler(1024.0, 1_998);
        let mut fine = [Tensor::from_slice(&[1.0_f32])];
        let _ = scaler.unscale(&mut fine).unwrap();
        assert_eq!(scaler.state().unwrap(), ScalerState { scale: 1024.0, held: 1_999 });
        let _ = scaler.unscale(&mut fine).unwrap();
        assert_eq!(scaler.state().unwrap(), ScalerState { scale: 2048.0, held: 0 });
    }

    #[test]
    fn the_scale_stays_finite() {
        let largest = f64::from(f32::MAX);
        let mut scaler = scaler(largest, 1_999);
        let _ = scaler.unscale(&mut [Tensor::from_slice(&[1.0_f32])]).unwrap();
        assert_eq!(scaler.state().unwrap().scale, largest);
    }
}
