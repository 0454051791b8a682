//! What is done to gradients between backward and the optimizer: torch.nn.utils'
//! clipping.

use tch::{Kind, Tensor, no_grad};

/// `clip_grad_norm_`: scales all gradients in place so that their norm together is at
/// most `max_norm`.
pub fn clip_norm(gradients: &mut [Tensor], max_norm: f64) {
    // PyTorch's guard against dividing by zero.
    const EPSILON: f64 = 1e-6;
    no_grad(|| {
        let norms: Vec<Tensor> =
            gradients.iter().map(|g| g.norm().to_kind(Kind::Float)).collect();
        let total = Tensor::stack(&norms, 0).norm();
        let scale = ((total + EPSILON).reciprocal() * max_norm).clamp_max(1.0);
        for gradient in gradients {
            let _ = gradient.g_mul_(&scale);
        }
    });
}

/// `clip_grad_value_`: limits every element to -`limit` to `limit`, in place.
pub fn clip_value(gradients: &mut [Tensor], limit: f64) {
    no_grad(|| {
        for gradient in gradients {
            let _ = gradient.clamp_(-limit, limit);
        }
    });
}
