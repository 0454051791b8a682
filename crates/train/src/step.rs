//! One training step: mixing, forward, loss, backward, clipping, optimizer, averaging.
//! What the loop around it counts is in `session`.

use std::time::{SystemTime, UNIX_EPOCH};

use tch::{Kind, Reduction, Tensor, no_grad};
use torchmill::recipe::{Schedule, Train};
use torchmill::{Error, Result};
use torchmill_nn::evaluation::Evaluation;
use torchmill_nn::groups::Groups;
use torchmill_nn::loader::Batch;
use torchmill_nn::loss::{loss, weights};
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::optimizer::Optimizer;
use torchmill_nn::plateau::Plateau;
use torchmill_nn::scaler::Scaler;
use torchmill_nn::schedule::{Position, momentum, rate};
use torchmill_nn::state::{Buffer, Learned};
use torchmill_nn::tensor::floats;
use torchmill_nn::{gradients, mix, torch_error};

/// A network with what trains it.
pub struct Learner {
    pub model: Model,
    /// What the layers compute in.
    pub kind: Kind,
    settings: Train,
    classes: i64,
    /// Those that are not frozen.
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    plateau: Option<Plateau>,
    scaler: Option<Scaler>,
    /// The moving average of the parameters; the parameters themselves while
    /// [`Learner::swap_average`] has put the average in the network.
    average: Option<Vec<Tensor>>,
    swapped: bool,
    /// Losses not read back yet, with the sum of what the images weigh in them where that
    /// can be nothing.
    pending: Vec<(u64, f64, Tensor, Option<Tensor>)>,
}

/// The loss of a step, read back from the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// Which step, from 1.
    pub step: u64,
    /// When it was made, in seconds since 1970.
    pub wall_time: f64,
    pub loss: f64,
    /// Whether the images weighed nothing, all of them: then there is no mean.
    pub of_nothing: bool,
}

impl Learner {
    /// Puts the parts together, for a network that has its first weights and of which
    /// some may be frozen (`requires_grad` is false).
    pub fn new(
        model: Model,
        kind: Kind,
        settings: Train,
        classes: usize,
    ) -> Result<Self> {
        settings.loss.check_classes(classes)?;
        let trained: Vec<(&str, &Tensor)> = model
            .parameters()
            .iter()
            .filter(|p| p.tensor.requires_grad())
            .map(|p| (p.name.as_str(), &p.tensor))
            .collect();
        if trained.is_empty() {
            return Err(Error::usage(
                "no parameter is left to train: the network has none, or all are frozen",
            ));
        }
        let frozen = model.parameters().iter().filter(|p| !p.tensor.requires_grad());
        let frozen: Vec<&str> = frozen.map(|p| p.name.as_str()).collect();
        let groups = Groups::new(&settings, &trained, &frozen)?;
        let parameters: Vec<Tensor> =
            trained.iter().map(|(_, t)| t.shallow_clone()).collect();
        let plateau = matches!(settings.schedule, Some(Schedule::ReduceLROnPlateau(_)))
            .then(|| Plateau::new(groups.groups.iter().map(|g| g.lr).collect()));
        let mut optimizer = Optimizer::new(settings.optimizer.clone(), groups);
        // Buffers are made for the momentum that the first step has, which a schedule may
        // bring.
        let start = Position { epoch: 0, epochs: 1, step: 0, steps: 1 };
        if let Some(momentum) = momentum(settings.schedule.as_ref(), start) {
            optimizer.set_momentum(momentum);
        }
        let average =
            settings.ema.map(|_| parameters.iter().map(|p| p.detach().copy()).collect());
        let scaler = (kind == Kind::Half).then(Scaler::default);
        let (classes, swapped, pending) = (classes as i64, false, Vec::new());
        Ok(Self {
            model,
            kind,
            settings,
            classes,
            parameters,
            optimizer,
            plateau,
            scaler,
            average,
            swapped,
            pending,
        })
    }

    /// What has to be saved beside the weights. Where there is a moving average, the
    /// checkpoint must hold it: it is written while [`Learner::swap_average`] has it in
    /// the network.
    pub fn state(&self) -> Learned {
        let save = |tensors: &[Tensor]| tensors.iter().map(Buffer::of).collect();
        let trained = if self.swapped { self.average.as_deref() } else { None };
        Learned {
            steps: self.optimizer.steps(),
            keeps: self.optimizer.keeps(),
            optimizer: self.optimizer.buffers().iter().map(|b| save(b)).collect(),
            weights: match self.average {
                Some(_) => save(trained.unwrap_or(&self.parameters)),
                None => Vec::new(),
            },
            scaler: self.scaler,
            plateau: self.plateau.clone(),
        }
    }

    /// Goes on from a saved state. The network holds the checkpoint's weights.
    pub fn restore(&mut self, state: &Learned) -> Result<()> {
        let count = self.parameters.len();
        let fits = |n: usize| n == 0 || n == count;
        if !fits(state.optimizer.len()) || !fits(state.weights.len()) {
            return Err(Error::failed("the training state is another network's"));
        }
        let make = |(saved, p): (&Vec<Buffer>, &Tensor)| {
            saved.iter().map(|b| b.tensor(p)).collect::<Result<_>>()
        };
        let buffers = state
            .optimizer
            .iter()
            .zip(&self.parameters)
            .map(make)
            .collect::<Result<_>>()?;
        self.optimizer.restore(&state.keeps, buffers, state.steps)?;
        // What the recipe did not have until now begins here; what it has no longer is
        // left behind.
        if let (Some(scaler), Some(saved)) = (&mut self.scaler, state.scaler) {
            *scaler = saved;
        }
        if let (Some(plateau), Some(saved)) = (&mut self.plateau, &state.plateau) {
            plateau.restore(saved)?;
        }
        // The checkpoint holds the moving average where there was one.
        let trained =
            state.weights.iter().zip(&self.parameters).map(|(saved, p)| saved.tensor(p));
        for (i, trained) in trained.enumerate() {
            let (mut parameter, trained) = (self.parameters[i].shallow_clone(), trained?);
            no_grad(|| {
                if let Some(average) = &mut self.average {
                    average[i].copy_(&parameter);
                }
                parameter.copy_(&trained);
            });
        }
        Ok(())
    }

    /// Makes the step after [`Position::step`] others.
    pub fn step(&mut self, batch: &Batch, at: Position) -> Result<()> {
        let settings = &self.settings;
        let bases =
            self.optimizer.groups().groups.iter().map(|g| g.lr).collect::<Vec<_>>();
        let bases = self.plateau.as_ref().map_or(&bases[..], Plateau::rates);
        let rates: Vec<f64> =
            bases.iter().map(|&base| rate(settings, base, at)).collect();
        self.optimizer.set_rates(rates);
        if let Some(momentum) = momentum(settings.schedule.as_ref(), at) {
            self.optimizer.set_momentum(momentum);
        }
        // libtorch's own generator serves dropout alone; seeding it by the step makes a
        // resumed run draw the same.
        tch::manual_seed((settings.seed as i64).wrapping_mul(1_000_003) ^ at.step as i64);
        let (images, targets) =
            mix::mix(settings, at.step, &batch.images, &batch.labels, self.classes)?;
        let (loss, mut gradients) = self.gradients(&images, &targets)?;
        let weight = weights(&settings.loss, &targets)
            .filter(|_| settings.loss.may_weigh_nothing());
        self.pending.push((at.step + 1, now(), loss, weight.map(|w| w.sum(Kind::Float))));
        // A step whose gradients are not finite in float16 is left out, as GradScaler
        // does.
        if self.scaler.as_mut().is_none_or(|scaler| scaler.unscale(&mut gradients)) {
            if let Some(limit) = self.settings.clip_grad_value {
                gradients::clip_value(&mut gradients, limit);
            }
            if let Some(limit) = self.settings.clip_grad_norm {
                gradients::clip_norm(&mut gradients, limit);
            }
            self.optimizer.step(&self.parameters, &gradients)?;
            self.update_average();
        }
        Ok(())
    }

    /// The batch's loss, and the gradients of it (times the scale, where there is one),
    /// computed in as many parts as the recipe asks for.
    fn gradients(
        &self,
        images: &Tensor,
        targets: &Tensor,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let scale = self.scaler.map(|s| s.scale());
        let mode = Mode { training: true, kind: self.kind };
        let backward = |loss: &Tensor| {
            let scaled = scale.map(|s| loss * s);
            Tensor::f_run_backward(
                &[scaled.as_ref().unwrap_or(loss)],
                &self.parameters,
                false,
                false,
            )
            .map_err(|e| torch_error(&e))
        };
        if self.settings.accumulate == 1 {
            let loss = loss(
                &self.settings.loss,
                &self.model.forward(images, mode)?,
                targets,
                Reduction::Mean,
            )?;
            let gradients = backward(&loss)?;
            return Ok((loss.detach(), gradients));
        }
        let parts = self.settings.accumulate as i64;
        let mut sum: Option<(Tensor, Vec<Tensor>)> = None;
        // Each part's mean counts by its share of the batch, so that the sum is the
        // batch's own mean.
        let count = images.size()[0] as f64;
        let whole = weights(&self.settings.loss, targets).map(|w| w.sum(Kind::Float));
        for (images, targets) in
            images.chunk(parts, 0).iter().zip(targets.chunk(parts, 0))
        {
            let logits = self.model.forward(images, mode)?;
            let loss = match (&whole, weights(&self.settings.loss, &targets)) {
                // A mean over nothing but labels to ignore would not be a number.
                (Some(whole), Some(_)) => {
                    loss(&self.settings.loss, &logits, &targets, Reduction::None)?
                        .sum(Kind::Float)
                        / whole
                }
                _ => {
                    let share = targets.size()[0] as f64 / count;
                    loss(&self.settings.loss, &logits, &targets, Reduction::Mean)? * share
                }
            };
            let gradients = backward(&loss)?;
            sum = Some(match sum {
                None => (loss.detach(), gradients),
                Some((total, sums)) => (
                    total + loss.detach(),
                    sums.into_iter().zip(&gradients).map(|(a, b)| a + b).collect(),
                ),
            });
        }
        sum.ok_or_else(|| Error::failed("a batch without images"))
    }

    /// `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn`: the first time
    /// a copy, then `average += (1 - decay) * (weights - average)`. Running statistics
    /// are the network's own.
    fn update_average(&mut self) {
        let (Some(average), Some(ema)) = (&mut self.average, self.settings.ema) else {
            return;
        };
        let first = self.optimizer.steps() == 1;
        no_grad(|| {
            for (average, parameter) in average.iter_mut().zip(&self.parameters) {
                if first {
                    average.copy_(parameter);
                } else {
                    let _ = average.lerp_(parameter, 1.0 - ema.decay);
                }
            }
        });
    }

    /// Exchanges the weights with their moving average, where the recipe asks for one:
    /// what is evaluated and saved is the average. Called again it puts them back, to the
    /// bit.
    pub fn swap_average(&mut self) {
        let Some(average) = &mut self.average else { return };
        no_grad(|| {
            for (average, parameter) in average.iter_mut().zip(&self.parameters) {
                let trained = parameter.detach().copy();
                parameter.shallow_clone().copy_(average);
                average.copy_(&trained);
            }
        });
        self.swapped = !self.swapped;
    }

    /// Tells the schedule what an evaluation found.
    pub fn evaluated(&mut self, result: &Evaluation) {
        if let (Some(plateau), Some(Schedule::ReduceLROnPlateau(settings))) =
            (&mut self.plateau, &self.settings.schedule)
        {
            plateau.step(settings, result.mean_loss(), result.accuracy());
        }
    }

    /// The learning rate of the last step; the optimizer's own where any parameter has
    /// that.
    pub fn lr(&self) -> f64 {
        self.optimizer.lr()
    }

    /// The losses since the last time. This waits for the device, so it is not done at
    /// each step.
    pub fn take_losses(&mut self) -> Vec<StepLoss> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let tensors: Vec<&Tensor> =
            self.pending.iter().map(|(_, _, loss, _)| loss).collect();
        let values = floats(&Tensor::stack(&tensors, 0));
        let pending = std::mem::take(&mut self.pending).into_iter();
        let read =
            |((step, wall_time, _, weight), loss): ((_, _, _, Option<Tensor>), f32)| {
                let of_nothing = !loss.is_finite()
                    && weight.is_some_and(|w| w.double_value(&[]) == 0.0);
                StepLoss { step, wall_time, loss: f64::from(loss), of_nothing }
            };
        pending.zip(values).map(read).collect()
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests;
