//! `torch.optim.Adam`, with ATen's fused kernel.

use serde::{Deserialize, Serialize};
use tch::TchError;
use torchmill::Result;
use torchmill::recipe::refuse;

use super::{Buffer, Step, Update, UpdateRule, check_lr, is_valid};
use crate::groups::Group;
use crate::kernel::fused_optimizer::{self, Lists};

/// torch.optim.Adam's arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Adam {
    pub(super) lr: f64,
    pub(super) betas: [f64; 2],
    pub(super) eps: f64,
    pub(super) weight_decay: f64,
    pub(super) amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
        }
    }
}

impl UpdateRule for Adam {
    fn check(&self) -> Result<()> {
        check_lr(self.lr)?;
        let betas = self.betas.iter().all(|beta| (0.0..1.0).contains(beta));
        if !betas || !is_valid(self.eps) || !is_valid(self.weight_decay) {
            return refuse(
                "optimizer",
                "betas must be from 0 to below 1, eps and weight_decay from 0 up",
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
        self.betas[0] = momentum;
    }

    fn buffers(&self) -> Vec<Buffer> {
        let largest =
            Buffer { name: "max_exp_avg_sq", kept: self.amsgrad, argument: "amsgrad" };
        vec![Buffer::always("exp_avg"), Buffer::always("exp_avg_sq"), largest]
    }

    fn update(
        &self,
        group: &Group,
        step: &Step,
        updates: &mut [Update],
    ) -> Result<(), TchError> {
        self.fused(group, step, updates, false)
    }

    fn heeds_overflow(&self) -> bool {
        true
    }
}

impl Adam {
    /// Does Adam's step, or AdamW's if the weight decay is `decoupled`.
    pub(super) fn fused(
        &self,
        group: &Group,
        step: &Step,
        updates: &mut [Update],
        decoupled: bool,
    ) -> Result<(), TchError> {
        let Some(first) = updates.first() else { return Ok(()) };
        let number = step.number(first.parameter.device())?;
        let settings = fused_optimizer::Adam {
            lr: group.lr,
            beta1: self.betas[0],
            beta2: self.betas[1],
            eps: self.eps,
            weight_decay: group.weight_decay,
            amsgrad: self.amsgrad,
            decoupled,
        };
        let lists = Lists::new(Update::parts(updates))?;
        lists.adam(&number, &step.overflow, &settings)
    }
}
