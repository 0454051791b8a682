//! `torch.optim.RMSprop`, in its order of operations. ATen has no fused kernel for it.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};
use torchmill::Result;
use torchmill::recipe::refuse;

use super::{Buffer, Step, Update, UpdateRule, check_lr, is_valid};
use crate::groups::Group;
use crate::tensor::f_scaled;

/// torch.optim.RMSprop's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RMSprop {
    lr: f64,
    alpha: f64,
    eps: f64,
    momentum: f64,
    centered: bool,
    weight_decay: f64,
}

impl Default for RMSprop {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
        }
    }
}

impl UpdateRule for RMSprop {
    fn check(&self) -> Result<()> {
        check_lr(self.lr)?;
        let numbers = [self.alpha, self.eps, self.momentum, self.weight_decay];
        if !numbers.into_iter().all(is_valid) {
            return refuse(
                "optimizer",
                "alpha, eps, momentum and weight_decay must be numbers from 0 up",
            );
        }
        Ok(())
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn set_momentum(&mut self, momentum: f64) {
        self.momentum = momentum;
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![
            Buffer::always("square_avg"),
            Buffer { name: "grad_avg", kept: self.centered, argument: "centered" },
            Buffer {
                name: "momentum_buffer",
                kept: self.momentum != 0.0,
                argument: "momentum",
            },
        ]
    }

    fn update(
        &self,
        group: &Group,
        _step: &Step,
        updates: &mut [Update],
    ) -> Result<(), TchError> {
        for update in updates {
            self.update_one(group, update)?;
        }
        Ok(())
    }
}

impl RMSprop {
    fn update_one(&self, group: &Group, update: &mut Update) -> Result<(), TchError> {
        let decayed = if group.weight_decay == 0.0 {
            update.gradient.shallow_clone()
        } else {
            let decay = f_scaled(update.parameter, group.weight_decay)?;
            update.gradient.f_add(&decay)?
        };
        let scaled = self.scaled(&decayed, update.state)?;
        let direction = match update.state.get_mut(1 + usize::from(self.centered)) {
            Some(buffer) => {
                let _ = buffer.f_mul_scalar_(self.momentum)?.f_add_(&scaled)?;
                buffer.shallow_clone()
            }
            None => scaled,
        };
        let step = f_scaled(&direction, -group.lr)?;
        let _ = update.parameter.shallow_clone().f_add_(&step)?;
        Ok(())
    }

    /// The gradient over the root of its running mean square. With `centered` the running
    /// mean is subtracted first (A. Graves, "Generating Sequences With Recurrent Neural
    /// Networks", 2013).
    fn scaled(
        &self,
        gradient: &Tensor,
        state: &mut [Tensor],
    ) -> Result<Tensor, TchError> {
        let mut squares = gradient.f_mul(gradient)?;
        let _ = squares.f_mul_scalar_(1.0 - self.alpha)?;
        let square_avg = &mut state[0];
        let _ = square_avg.f_mul_scalar_(self.alpha)?.f_add_(&squares)?;
        let mut variance = square_avg.shallow_clone();
        if self.centered {
            let grad_avg = &mut state[1];
            let _ = grad_avg.f_lerp_(gradient, 1.0 - self.alpha)?;
            variance = variance.f_sub(&grad_avg.f_mul(grad_avg)?)?;
        }
        gradient.f_div(&variance.f_sqrt()?.f_add_scalar_(self.eps)?)
    }
}
