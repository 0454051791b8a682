//! `torch.optim.SGD`, with ATen's fused kernel.

use serde::{Deserialize, Serialize};
use tch::TchError;
use torchmill::Result;
use torchmill::recipe::refuse;

use super::{Buffer, Step, Update, UpdateRule, check_lr, is_valid};
use crate::groups::Group;
use crate::kernel::fused_optimizer::{self, Lists};

/// torch.optim.SGD's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sgd {
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        }
    }
}

impl UpdateRule for Sgd {
    fn check(&self) -> Result<()> {
        check_lr(self.lr)?;
        if !self.dampening.is_finite() {
            return refuse("optimizer.dampening", "must be a number");
        }
        if !is_valid(self.momentum) || !is_valid(self.weight_decay) {
            return refuse(
                "optimizer",
                "momentum and weight_decay must be numbers from 0 up",
            );
        }
        if self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0) {
            return refuse(
                "optimizer.nesterov",
                "requires a momentum and zero dampening",
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
        vec![Buffer {
            name: "momentum_buffer",
            kept: self.momentum != 0.0,
            argument: "momentum",
        }]
    }

    fn update(
        &self,
        group: &Group,
        step: &Step,
        updates: &mut [Update],
    ) -> Result<(), TchError> {
        let settings = fused_optimizer::Sgd {
            lr: group.lr,
            momentum: self.momentum,
            dampening: self.dampening,
            weight_decay: group.weight_decay,
            nesterov: self.nesterov,
            first: step.is_first(),
        };
        Lists::new(Update::parts(updates))?.sgd(&step.overflow, &settings)
    }

    fn heeds_overflow(&self) -> bool {
        true
    }
}
