//! One training step: forward, loss, backward, optimizer. What the loop around it counts is in `session`.

use std::time::{SystemTime, UNIX_EPOCH};

use tch::{Kind, Reduction, Tensor};
use torchmill::Result;
use torchmill::recipe::Train;
use torchmill_nn::evaluation::floats;
use torchmill_nn::loader::Batch;
use torchmill_nn::loss::loss;
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::optimizer::Optimizer;
use torchmill_nn::schedule::{Position, learning_rate};
use torchmill_nn::torch_error;

/// A network with what trains it.
pub struct Learner {
    pub model: Model,
    pub optimizer: Optimizer,
    /// What the layers compute in.
    pub kind: Kind,
    settings: Train,
    parameters: Vec<Tensor>,
    /// Losses not read back yet.
    pending: Vec<(u64, f64, Tensor)>,
}

/// The loss of a step, read back from the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// Which step, from 1.
    pub step: u64,
    /// When it was made, in seconds since 1970.
    pub wall_time: f64,
    pub loss: f64,
}

impl Learner {
    /// Puts the parts together; `optimizer` is the one of `settings`, new or restored.
    pub fn new(model: Model, optimizer: Optimizer, kind: Kind, settings: Train) -> Self {
        let parameters = model.parameter_tensors();
        Self { model, optimizer, kind, settings, parameters, pending: Vec::new() }
    }

    /// Makes the step after [`Position::step`] others.
    pub fn step(&mut self, batch: &Batch, at: Position) -> Result<()> {
        let settings = &self.settings;
        self.optimizer.set_lr(learning_rate(settings.schedule.as_ref(), settings.optimizer.lr(), at));
        // libtorch's own generator serves dropout alone; seeding it by the step makes a resumed run draw the same.
        tch::manual_seed((settings.seed as i64).wrapping_mul(1_000_003) ^ at.step as i64);
        let logits = self.model.forward(&batch.images, Mode { training: true, kind: self.kind })?;
        let loss = loss(&settings.loss, &logits, &batch.labels, Reduction::Mean)?;
        let gradients =
            Tensor::f_run_backward(&[&loss], &self.parameters, false, false).map_err(|e| torch_error(&e))?;
        self.optimizer.step(&self.parameters, &gradients);
        self.pending.push((at.step + 1, now(), loss.detach()));
        Ok(())
    }

    /// The losses since the last time. This waits for the device, so it is not done at each step.
    pub fn take_losses(&mut self) -> Vec<StepLoss> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let tensors: Vec<&Tensor> = self.pending.iter().map(|(_, _, loss)| loss).collect();
        let values = floats(&Tensor::stack(&tensors, 0));
        let pending = std::mem::take(&mut self.pending).into_iter();
        let read = |((step, wall_time, _), loss)| StepLoss { step, wall_time, loss: f64::from(loss) };
        pending.zip(values).map(read).collect()
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
