//! SGD, Adam and AdamW on plain tensors, so that their state can be saved (tch's own cannot).
//!
//! The update rules are torch.optim's, in its order of operations (pseudocode in its documentation).

use tch::{Tensor, no_grad};
use torchmill::recipe::Optimizer as Settings;
use torchmill::{Error, Result};

/// An optimizer over a fixed list of parameters.
pub struct Optimizer {
    settings: Settings,
    /// One list of buffers a parameter, in [`Optimizer::buffer_names`]' order; empty before the first step.
    buffers: Vec<Vec<Tensor>>,
    steps: u64,
}

impl Optimizer {
    /// An optimizer that has not made a step yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, buffers: Vec::new(), steps: 0 }
    }

    /// Goes on where a saved one stopped, with its buffers (one list a parameter) and steps made.
    pub fn restore(settings: Settings, buffers: Vec<Vec<Tensor>>, steps: u64) -> Result<Self> {
        let optimizer = Self { settings, buffers, steps };
        let names = optimizer.buffer_names().len();
        if optimizer.buffers.iter().any(|b| b.len() != names) {
            return Err(Error::failed("the saved optimizer state is another optimizer's"));
        }
        Ok(optimizer)
    }

    /// What torch.optim calls the buffers kept for each parameter.
    pub fn buffer_names(&self) -> &'static [&'static str] {
        match self.settings {
            Settings::Sgd { momentum: 0.0, .. } => &[],
            Settings::Sgd { .. } => &["momentum_buffer"],
            Settings::Adam { .. } | Settings::AdamW { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// The buffers, one list a parameter; empty before the first step.
    pub fn buffers(&self) -> &[Vec<Tensor>] {
        &self.buffers
    }

    /// How many steps have been made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.settings.lr()
    }

    /// Sets the learning rate of the next step.
    pub fn set_lr(&mut self, lr: f64) {
        self.settings.set_lr(lr);
    }

    /// One step: changes `parameters` in place by their `gradients` (same order and shapes).
    pub fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) {
        no_grad(|| {
            let first = self.buffers.is_empty();
            if first {
                let zeros = |p: &Tensor| self.buffer_names().iter().map(|_| p.zeros_like()).collect();
                self.buffers = parameters.iter().map(zeros).collect();
            }
            self.steps += 1;
            let each = parameters.iter().zip(gradients).zip(&mut self.buffers);
            for ((parameter, gradient), buffers) in each {
                let mut parameter = parameter.shallow_clone();
                match self.settings {
                    Settings::Sgd { lr, momentum, dampening, weight_decay, nesterov } => {
                        let d = decayed(gradient, &parameter, weight_decay);
                        let d = match buffers.first_mut() {
                            None => d,
                            Some(buffer) => {
                                if first {
                                    buffer.copy_(&d);
                                } else {
                                    let _ = buffer.g_mul_scalar_(momentum).g_add_(&(&d * (1.0 - dampening)));
                                }
                                if nesterov { d + &*buffer * momentum } else { buffer.shallow_clone() }
                            }
                        };
                        let _ = parameter.g_add_(&(d * -lr));
                    }
                    Settings::Adam { lr, betas, eps, weight_decay } => {
                        let d = decayed(gradient, &parameter, weight_decay);
                        adam(&mut parameter, &d, buffers, self.steps, lr, betas, eps);
                    }
                    Settings::AdamW { lr, betas, eps, weight_decay } => {
                        let _ = parameter.g_mul_scalar_(1.0 - lr * weight_decay);
                        adam(&mut parameter, gradient, buffers, self.steps, lr, betas, eps);
                    }
                }
            }
        });
    }
}

/// The gradient with the L2 penalty's added, as torch.optim's `weight_decay` means it (but for AdamW's).
fn decayed(gradient: &Tensor, parameter: &Tensor, weight_decay: f64) -> Tensor {
    if weight_decay == 0.0 { gradient.shallow_clone() } else { gradient + parameter * weight_decay }
}

/// D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015, with its bias correction.
fn adam(p: &mut Tensor, d: &Tensor, buffers: &mut [Tensor], step: u64, lr: f64, betas: [f64; 2], eps: f64) {
    let [mean, square] = buffers else { return };
    let _ = mean.lerp_(d, 1.0 - betas[0]);
    let _ = square.g_mul_scalar_(betas[1]).g_add_(&(d * d * (1.0 - betas[1])));
    let correction = betas.map(|b| 1.0 - b.powf(step as f64));
    let denominator = (square.sqrt() / correction[1].sqrt()) + eps;
    let _ = p.g_add_(&(&*mean / denominator * (-lr / correction[0])));
}
