//! `torch.optim.AdamW`: Adam with weight decay decoupled from the gradient.
//!
//! I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019.

use serde::{Deserialize, Serialize};
use tch::TchError;
use torchmill::Result;

use super::adam::Adam;
use super::{Buffer, Step, Update, UpdateRule};
use crate::groups::Group;

/// torch.optim.AdamW's arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdamW {
    lr: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        let Adam { lr, betas, eps, amsgrad, .. } = Adam::default();
        Self { lr, betas, eps, weight_decay: 1e-2, amsgrad }
    }
}

impl AdamW {
    /// Adam with these arguments.
    fn adam(&self) -> Adam {
        let &Self { lr, betas, eps, weight_decay, amsgrad } = self;
        Adam { lr, betas, eps, weight_decay, amsgrad }
    }
}

impl UpdateRule for AdamW {
    fn check(&self) -> Result<()> {
        self.adam().check()
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
        self.adam().buffers()
    }

    fn update(
        &self,
        group: &Group,
        step: &Step,
        updates: &mut [Update],
    ) -> Result<(), TchError> {
        self.adam().fused(group, step, updates, true)
    }

    fn heeds_overflow(&self) -> bool {
        true
    }
}
