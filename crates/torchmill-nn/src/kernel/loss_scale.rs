//! Divides gradients by fp16's loss scale and finds overflow, with the operator of
//! torch.amp.GradScaler. tch does not bind it. It passes over the gradients once.

use tch::{Kind, TchError, Tensor};

use super::bridge::{ffi, to_cpp, to_list, torch_error};

/// Divides the gradients in place by `scale`, a float32 scalar on their device. Returns
/// another one: 1 if a gradient is not finite, otherwise 0. Does not wait for the device.
/// Call it with autograd off.
pub(crate) fn unscale(gradients: &[Tensor], scale: &Tensor) -> Result<Tensor, TchError> {
    let overflow = Tensor::f_zeros([], (Kind::Float, scale.device()))?;
    let unscaled = ffi::unscale(&to_list(gradients), to_cpp(scale), to_cpp(&overflow));
    unscaled.map_err(|e| torch_error(&e))?;
    Ok(overflow)
}
