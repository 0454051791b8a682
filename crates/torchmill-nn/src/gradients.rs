//! Gradient clipping between the backward pass and the optimizer, as in torch.nn.utils.
//! The gradients stay on their device, and nothing here waits for it.

use tch::{Kind, TchError, Tensor, no_grad};
use torchmill::Result;

use crate::torch_error;

/// `clip_grad_norm_`: scales all gradients in place so that their total norm is at most
/// `max_norm`.
pub fn clip_norm(gradients: &mut [Tensor], max_norm: f64) -> Result<()> {
    no_grad(|| scale_to_norm(gradients, max_norm)).map_err(|e| torch_error(&e))
}

fn scale_to_norm(gradients: &mut [Tensor], max_norm: f64) -> Result<(), TchError> {
    // The constant that PyTorch adds to avoid a division by zero.
    const EPSILON: f64 = 1e-6;
    let mut norms = Vec::with_capacity(gradients.len());
    for gradient in gradients.iter() {
        norms.push(gradient.f_norm()?.f_to_kind(Kind::Float)?);
    }
    let total = Tensor::f_stack(&norms, 0)?.f_norm()?;
    let mut scale = total;
    let _ = scale.f_add_scalar_(EPSILON)?.f_reciprocal_()?.f_mul_scalar_(max_norm)?;
    let _ = scale.f_clamp_max_(1.0)?;
    for gradient in gradients {
        let _ = gradient.f_mul_(&scale)?;
    }
    Ok(())
}

/// `clip_grad_value_`: clamps every element to between -`limit` and `limit`, in place.
pub fn clip_value(gradients: &mut [Tensor], limit: f64) -> Result<()> {
    no_grad(|| {
        for gradient in gradients {
            let _ = gradient.f_clamp_(-limit, limit).map_err(|e| torch_error(&e))?;
        }
        Ok(())
    })
}
