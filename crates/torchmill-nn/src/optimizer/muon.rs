//! `torch.optim.Muon`: SGD with momentum whose updates are orthogonalised.
//!
//! K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. For
//! the learning rate of `match_rms_adamw`: J. Liu et al., "Muon is Scalable for LLM
//! Training", 2025.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};
use torchmill::recipe::refuse;
use torchmill::{Error, Result};

use super::{Buffer, Step, Update, UpdateRule, check_lr, is_valid};
use crate::groups::Group;
use crate::kernel::newton_schulz::{Iteration, newton_schulz};
use crate::tensor::f_scaled;

/// torch.optim.Muon's arguments, and `flatten`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Muon {
    lr: f64,
    weight_decay: f64,
    momentum: f64,
    nesterov: bool,
    ns_coefficients: [f64; 3],
    eps: f64,
    ns_steps: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjust_lr_fn: Option<AdjustLr>,
    /// Whether a parameter of more than two dimensions, such as a convolution's filters,
    /// is treated as a matrix by flattening all dimensions but the first.
    /// torch.optim.Muon rejects such parameters.
    flatten: bool,
}

/// The factor for the learning rate of a matrix `[rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AdjustLr {
    /// `sqrt(max(1, rows / columns))`, which is also the default.
    Original,
    /// `0.2 sqrt(max(rows, columns))`, which makes AdamW's learning rates usable.
    MatchRmsAdamw,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            ns_coefficients: [3.4445, -4.7750, 2.0315],
            eps: 1e-7,
            ns_steps: 5,
            adjust_lr_fn: None,
            flatten: false,
        }
    }
}

impl UpdateRule for Muon {
    fn check(&self) -> Result<()> {
        check_lr(self.lr)?;
        let numbers = [self.weight_decay, self.momentum, self.eps];
        if !numbers.into_iter().all(is_valid) {
            return refuse(
                "optimizer",
                "weight_decay, momentum and eps must be numbers from 0 up",
            );
        }
        if !self.ns_coefficients.iter().all(|c| c.is_finite()) {
            return refuse("optimizer.ns_coefficients", "must be numbers");
        }
        // PyTorch's limit.
        if self.ns_steps >= 100 {
            return refuse("optimizer.ns_steps", "must be below 100");
        }
        Ok(())
    }

    fn check_shape(&self, shape: &[i64]) -> Result<()> {
        match shape.len() {
            2 => Ok(()),
            0 | 1 => Err(Error::usage(
                "Muon trains only matrices: give it another optimizer in a \
                 [[train.group]]",
            )),
            _ if self.flatten => Ok(()),
            _ => Err(Error::usage(
                "Muon trains only matrices: set flatten = true to take it as a matrix \
                 of its first dimension and all others, or give it another optimizer in \
                 a [[train.group]]",
            )),
        }
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
        vec![Buffer::always("momentum_buffer")]
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

impl Muon {
    fn update_one(&self, group: &Group, update: &mut Update) -> Result<(), TchError> {
        let buffer = &mut update.state[0];
        let _ = buffer.f_lerp_(update.gradient, 1.0 - self.momentum)?;
        let mut direction = buffer.shallow_clone();
        if self.nesterov {
            direction = update.gradient.f_lerp(buffer, self.momentum)?;
        }
        let layout = Layout::of(update.parameter);
        let iteration = Iteration {
            coefficients: self.ns_coefficients,
            eps: self.eps,
            steps: self.ns_steps,
        };
        let direction = newton_schulz(&layout.matrix(&direction)?, &iteration)?;
        let mut parameter = update.parameter.shallow_clone();
        let _ = parameter.f_mul_scalar_(1.0 - group.lr * group.weight_decay)?;
        let lr = group.lr * self.adjustment(&direction.size());
        let step = f_scaled(&direction.f_to_kind(Kind::Float)?, -lr)?;
        let _ = parameter.f_add_(&layout.parameter(&step)?)?;
        Ok(())
    }

    /// The factor for the learning rate of a matrix of this size.
    fn adjustment(&self, size: &[i64]) -> f64 {
        let rows = size[0] as f64;
        let columns = size[1] as f64;
        match self.adjust_lr_fn {
            None | Some(AdjustLr::Original) => (rows / columns).max(1.0).sqrt(),
            Some(AdjustLr::MatchRmsAdamw) => 0.2 * rows.max(columns).sqrt(),
        }
    }
}

/// How a parameter is reshaped to a matrix.
enum Layout {
    Matrix,
    /// `[N, C, H, W]`, channels last. The columns are in memory order, so nothing is
    /// copied. The result does not depend on the order of the columns.
    ChannelsLast([i64; 4]),
    /// Of this shape, in row-major order.
    RowMajor(Vec<i64>),
}

impl Layout {
    fn of(parameter: &Tensor) -> Self {
        let size = parameter.size();
        match size[..] {
            [_, _] => Self::Matrix,
            [n, c, h, w] if !parameter.is_contiguous() => {
                Self::ChannelsLast([n, c, h, w])
            }
            _ => Self::RowMajor(size),
        }
    }

    /// Reshapes a tensor of the parameter's shape to a matrix.
    fn matrix(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Matrix => Ok(tensor.shallow_clone()),
            Self::ChannelsLast([n, ..]) => {
                tensor.f_permute([0, 2, 3, 1])?.f_reshape([*n, -1])
            }
            Self::RowMajor(size) => tensor.f_reshape([size[0], -1]),
        }
    }

    /// Reshapes a matrix to the parameter's shape.
    fn parameter(&self, matrix: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Matrix => Ok(matrix.shallow_clone()),
            Self::ChannelsLast([n, c, h, w]) => {
                matrix.f_reshape([*n, *h, *w, *c])?.f_permute([0, 3, 1, 2])
            }
            Self::RowMajor(size) => matrix.f_reshape(size),
        }
    }
}
