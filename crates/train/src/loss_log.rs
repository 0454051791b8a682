//! Collects the losses of steps before they go to metrics.csv. Reading a loss back waits
//! for the device, so it is not done at every step.

use tch::{Kind, TchError, Tensor};
use torchmill::Result;
use torchmill::time::now;
use torchmill_nn::distributed::{Group, Processes};
use torchmill_nn::tensor::floats;
use torchmill_nn::torch_error;

/// Losses that have not been read back yet.
#[derive(Default)]
pub struct LossLog {
    pending: Vec<Pending>,
}

struct Pending {
    step: u64,
    wall_time: f64,
    loss: Tensor,
    /// The sum of the images' weights; `None` if all weigh the same.
    weight: Option<Tensor>,
}

/// The loss of a step, read back from the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// The step, counted from 1.
    pub step: u64,
    /// The time of the step, in seconds since 1970.
    pub wall_time: f64,
    pub loss: f64,
    /// Whether all images have weight 0, so that there is no mean.
    pub is_of_nothing: bool,
}

impl LossLog {
    /// Adds the mean loss of a step.
    pub fn push(&mut self, step: u64, loss: Tensor, weight: Option<Tensor>) {
        self.pending.push(Pending { step, wall_time: now(), loss, weight });
    }

    /// Reads back the losses since the last call: for each step, the mean over all
    /// processes.
    pub fn take(&mut self, processes: &Processes) -> Result<Vec<StepLoss>> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let losses = read_back(&pending);
        let mut losses =
            losses.map_err(|e| torch_error(&e).within("reading the losses"))?;
        if let Some(group) = processes.group() {
            average(&mut losses, group)?;
        }
        Ok(losses)
    }
}

/// Replaces each loss with its mean over all processes.
fn average(losses: &mut [StepLoss], group: &Group) -> Result<()> {
    let mut values = Vec::new();
    for step in &*losses {
        values.push(step.loss);
        values.push(f64::from(u8::from(step.is_of_nothing)));
    }
    let mut sums = Tensor::f_from_slice(&values).map_err(|e| torch_error(&e))?;
    group.all_reduce_sum(&mut sums)?;
    let sum = |i| sums.f_double_value(&[i]).map_err(|e| torch_error(&e));
    for (i, step) in (0..).zip(losses) {
        step.loss = sum(2 * i)? / f64::from(group.size());
        step.is_of_nothing = sum(2 * i + 1)? > 0.0;
    }
    Ok(())
}

fn read_back(pending: &[Pending]) -> Result<Vec<StepLoss>, TchError> {
    let losses: Vec<&Tensor> = pending.iter().map(|p| &p.loss).collect();
    let values = Tensor::f_stack(&losses, 0)?.f_to_kind(Kind::Float)?;
    let mut read = Vec::new();
    for (pending, value) in pending.iter().zip(floats(&values)) {
        let mut is_of_nothing = false;
        if let (Some(weight), false) = (&pending.weight, value.is_finite()) {
            is_of_nothing = weight.f_double_value(&[])? == 0.0;
        }
        read.push(StepLoss {
            step: pending.step,
            wall_time: pending.wall_time,
            loss: f64::from(value),
            is_of_nothing,
        });
    }
    Ok(read)
}
