//! SGD, Adam, AdamW and RMSprop on plain tensors, so that their state can be saved (tch's
//! own cannot).
//!
//! The update rules are torch.optim's (pseudocode in its documentation). RMSprop, which
//! has no fused kernel, is in its order of operations.

use tch::{Tensor, no_grad};
use torchmill::recipe::Optimizer as Settings;
use torchmill::{Error, Result};

use crate::fused::{Adam, Lists, Sgd};
use crate::groups::Groups;
use crate::state::Keeps;
use crate::torch_error;

/// An optimizer over a fixed list of parameters.
pub struct Optimizer {
    settings: Settings,
    groups: Groups,
    /// Each group's learning rate at the next step.
    rates: Vec<f64>,
    /// One list of buffers a parameter, in [`Optimizer::buffer_names`]' order; empty
    /// before the first step.
    buffers: Vec<Vec<Tensor>>,
    steps: u64,
}

impl Optimizer {
    /// An optimizer that has not made a step yet. The groups' learning rates and weight
    /// decays stand for the settings' own.
    pub fn new(settings: Settings, groups: Groups) -> Self {
        let rates = groups.groups.iter().map(|g| g.lr).collect();
        Self { settings, groups, rates, buffers: Vec::new(), steps: 0 }
    }

    /// Goes on where a saved one stopped, with its buffers (one list a parameter) and
    /// steps made. One that kept other buffers than this does is refused, with the key
    /// that makes the difference.
    pub fn restore(
        &mut self,
        saved: &Keeps,
        buffers: Vec<Vec<Tensor>>,
        steps: u64,
    ) -> Result<()> {
        let own = self.keeps();
        // Before the first step there is nothing that could not be gone on from.
        if !buffers.is_empty() && *saved != own {
            let differs = |name: &str| {
                saved.buffers.iter().any(|b| b == name)
                    != own.buffers.iter().any(|b| b == name)
            };
            let key = match () {
                () if saved.optimizer != own.optimizer => "type",
                () if differs("max_exp_avg_sq") => "amsgrad",
                () if differs("grad_avg") => "centered",
                () => "momentum",
            };
            return Err(Error::usage(format_args!(
                "was saved by {saved}, which {own} cannot go on from: leave train.optimizer.{key} as it is in the run's config.toml, or branch off with a new --run and --init"
            )));
        }
        if buffers.iter().any(|b| b.len() != own.buffers.len()) {
            return Err(Error::failed("the saved optimizer state is damaged"));
        }
        (self.buffers, self.steps) = (buffers, steps);
        Ok(())
    }

    /// What it is and keeps.
    pub fn keeps(&self) -> Keeps {
        let buffers = self.buffer_names().iter().map(|name| (*name).to_owned()).collect();
        Keeps { optimizer: self.settings.name().to_owned(), buffers }
    }

    /// What torch.optim calls the buffers kept for each parameter.
    pub fn buffer_names(&self) -> &'static [&'static str] {
        match self.settings {
            Settings::Sgd { momentum: 0.0, .. } => &[],
            Settings::Sgd { .. } => &["momentum_buffer"],
            Settings::Adam { amsgrad, .. } | Settings::AdamW { amsgrad, .. } => {
                if amsgrad {
                    &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
                } else {
                    &["exp_avg", "exp_avg_sq"]
                }
            }
            Settings::RMSprop { momentum, centered, .. } => {
                match (centered, momentum != 0.0) {
                    (false, false) => &["square_avg"],
                    (false, true) => &["square_avg", "momentum_buffer"],
                    (true, false) => &["square_avg", "grad_avg"],
                    (true, true) => &["square_avg", "grad_avg", "momentum_buffer"],
                }
            }
        }
    }

    /// The buffers, one list a parameter; empty before the first step.
    pub fn buffers(&self) -> &[Vec<Tensor>] {
        &self.buffers
    }

    /// The groups, with their learning rates before any schedule.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// How many steps have been made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of the next step; the first group's where there are several.
    pub fn lr(&self) -> f64 {
        self.rates.first().copied().unwrap_or(f64::NAN)
    }

    /// Sets each group's learning rate at the next step.
    pub fn set_rates(&mut self, rates: impl IntoIterator<Item = f64>) {
        self.rates.clear();
        self.rates.extend(rates);
    }

    /// Sets the momentum of the next step (the first beta of Adam and AdamW). It must not
    /// be zero before the first step and something later, since what buffers there are
    /// depends on it.
    pub fn set_momentum(&mut self, momentum: f64) {
        self.settings.set_momentum(momentum);
    }

    /// One step: changes `parameters` in place by their `gradients` (same order and
    /// shapes).
    pub fn step(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<()> {
        no_grad(|| {
            let first = self.buffers.is_empty();
            if first {
                let zeros = |p: &Tensor| {
                    self.buffer_names().iter().map(|_| p.zeros_like()).collect()
                };
                self.buffers = parameters.iter().map(zeros).collect();
            }
            self.steps += 1;
            let rates = self.rates.iter().zip(&self.groups.groups);
            for (group, (&lr, settings)) in rates.enumerate() {
                let tensors = parameters.iter().zip(gradients).zip(&mut self.buffers);
                let tensors = tensors
                    .zip(&self.groups.of)
                    .filter(|(_, of)| **of == group)
                    .map(|(each, _)| each);
                let weight_decay = settings.weight_decay;
                match self.settings {
                    Settings::Sgd { momentum, dampening, nesterov, .. } => {
                        Lists::new(tensors).sgd(&Sgd {
                            lr,
                            momentum,
                            dampening,
                            weight_decay,
                            nesterov,
                            first,
                        })
                    }
                    Settings::Adam { betas, eps, amsgrad, .. }
                    | Settings::AdamW { betas, eps, amsgrad, .. } => {
                        let decoupled = matches!(self.settings, Settings::AdamW { .. });
                        let [beta1, beta2] = betas;
                        Lists::new(tensors).adam(
                            self.steps,
                            &Adam {
                                lr,
                                beta1,
                                beta2,
                                eps,
                                weight_decay,
                                amsgrad,
                                decoupled,
                            },
                        )
                    }
                    Settings::RMSprop { alpha, eps, momentum, centered, .. } => {
                        for ((parameter, gradient), buffers) in tensors {
                            let d = decayed(gradient, parameter, weight_decay);
                            let d = rms(&d, buffers, alpha, eps, centered);
                            let d = match buffers.get_mut(1 + usize::from(centered)) {
                                None => d,
                                Some(buffer) => {
                                    let _ = buffer.g_mul_scalar_(momentum).g_add_(&d);
                                    buffer.shallow_clone()
                                }
                            };
                            let _ = parameter.shallow_clone().g_add_(&(d * -lr));
                        }
                        Ok(())
                    }
                }
                .map_err(|e| torch_error(&e))?;
            }
            Ok(())
        })
    }
}

/// The gradient with the L2 penalty's added, as torch.optim's `weight_decay` means it.
fn decayed(gradient: &Tensor, parameter: &Tensor, weight_decay: f64) -> Tensor {
    if weight_decay == 0.0 {
        gradient.shallow_clone()
    } else {
        gradient + parameter * weight_decay
    }
}

/// G. Hinton's RMSprop: the gradient over the root of its running mean square; `centered`
/// takes the running mean off first (A. Graves, "Generating Sequences With Recurrent
/// Neural Networks", 2013).
fn rms(
    d: &Tensor,
    buffers: &mut [Tensor],
    alpha: f64,
    eps: f64,
    centered: bool,
) -> Tensor {
    let [square, rest @ ..] = buffers else { return d.shallow_clone() };
    let _ = square.g_mul_scalar_(alpha).g_add_(&(d * d * (1.0 - alpha)));
    let variance = match rest {
        [mean, ..] if centered => {
            let _ = mean.lerp_(d, 1.0 - alpha);
            &*square - &*mean * &*mean
        }
        _ => square.shallow_clone(),
    };
    d / (variance.sqrt() + eps)
}
