//! The training loop: the article's, that can stop at any step and go on.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use torchmill::metrics::{MetricsWriter, Point};
use torchmill::progress::{self, Progress, Unit};
use torchmill::recipe::Recipe;
use torchmill::{Context, Error, Result, interrupt};
use torchmill_nn::evaluation::{self, Evaluation};
use torchmill_nn::generator::Generator;
use torchmill_nn::loader::Target;
use torchmill_nn::model::Model;
use torchmill_nn::sampler::{Epoch, enter_loader};
use torchmill_nn::schedule::Position;
use torchmill_nn::spec::Spec;
use torchmill_nn::state::{self, State};
use torchmill_nn::{checkpoint, device, precision};

use crate::folder::RunFolder;
use crate::plan::{Data, Plan};
use crate::resume;
use crate::step::{Learner, StepLoss, now};

/// Losses are read back from the device, checked and written in bunches of so many steps; the article prints
/// one every 100.
const BUNCH: u64 = 100;

/// A run under way.
pub struct Session {
    plan: Plan,
    spec: Spec,
    learner: Learner,
    /// PyTorch's default generator.
    generator: Generator,
    metrics: MetricsWriter,
    epoch: u64,
    batch: u64,
    step: u64,
    best: Option<(f64, u64)>,
    last: Option<PathBuf>,
    data_digest: String,
}

impl Session {
    /// Builds the network, takes up a checkpoint where there is one to go on from, and makes the run folder.
    pub fn start(mut plan: Plan, data: &Data) -> Result<Self> {
        let meta = data.train.set().meta();
        plan.recipe.transforms.train.clone_from(&meta.pipeline);
        plan.recipe.transforms.test.clone_from(&data.test.set().meta().pipeline);
        let recipe = &plan.recipe;
        let spec = Spec {
            model: recipe.model.clone(),
            input: data.train.image_shape()?,
            classes: meta.classes.clone(),
            transform: recipe.transforms.test.clone(),
            batch_size: recipe.train.batch_size,
            dataset: meta.dataset.clone(),
        };
        let mut generator = Generator::new(recipe.train.seed);
        let mut model = Model::new(&spec, &mut generator, plan.device)?;
        if let Some(path) = recipe.model.init.as_deref().filter(|_| plan.resume.is_none()) {
            let weights = checkpoint::read(path)?.tensors;
            let loaded = model.load_initial(&weights, &recipe.model.init_except);
            let loaded = loaded.map_err(|e| e.within(path.display()))?;
            progress::note(format_args!("{}: {loaded}", path.display()));
        }
        let resumed =
            plan.resume.as_ref().map(|path| resume::take_up(path, &mut model, &meta.digest)).transpose()?;
        let kind = precision::kind(recipe.train.precision);
        let mut learner = Learner::new(model, kind, recipe.train.clone(), spec.classes.len())?;
        resumed.as_ref().map_or(Ok(()), |state| learner.restore(&state.learner))?;
        plan.folder.write_config(recipe)?;
        plan.folder.remove_step_checkpoints(plan.resume.as_deref())?;
        resume::carry_metrics(&plan, resumed.as_ref().map_or(0, |state| state.metrics))?;
        let metrics = MetricsWriter::append(plan.folder.metrics())?;
        let data_digest = meta.digest.clone();
        let last = plan.resume.clone();
        let mut session = Self {
            plan,
            spec,
            learner,
            generator,
            metrics,
            epoch: 0,
            batch: 0,
            step: 0,
            best: None,
            last,
            data_digest,
        };
        if let Some(state) = resumed {
            (session.epoch, session.batch, session.step) = (state.epoch, state.batch, state.step);
            (session.generator, session.best) = (state.generator, state.best);
        }
        session.say_what_starts(data);
        Ok(session)
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.plan.folder
    }

    /// Trains to the last epoch and returns the last checkpoint.
    pub fn train(&mut self, data: &Data) -> Result<PathBuf> {
        let epochs = self.recipe().train.epochs;
        if self.epoch >= epochs && self.last.is_some() {
            progress::note(format_args!("all {epochs} epochs are done already; --epochs asks for more"));
        }
        while self.epoch < epochs {
            self.train_epoch(data)?;
        }
        match &self.last {
            Some(last) => Ok(last.clone()),
            None => {
                // --epochs 0: the initial weights are the result.
                let path = self.plan.folder.epoch_checkpoint(0);
                self.save(path, &self.generator.clone())
            }
        }
    }

    fn recipe(&self) -> &Recipe {
        &self.plan.recipe
    }

    fn say_what_starts(&self, data: &Data) {
        progress::note(format_args!("train set size: {}", data.train.set().len()));
        progress::note(format_args!("test set size: {}", data.test.set().len()));
        let going_on = match (&self.plan.resume, self.batch) {
            (None, _) => String::new(),
            (Some(path), 0) => format!(", going on from {} after epoch {}", path.display(), self.epoch),
            (Some(path), n) => {
                format!(", going on from {} in epoch {} after batch {n}", path.display(), self.epoch + 1)
            }
        };
        progress::note(format_args!(
            "{}: {} parameters on {}{going_on}",
            self.recipe().name,
            progress::count(self.learner.model.parameter_count() as u64),
            device::name(self.learner.model.device()),
        ));
    }

    fn train_epoch(&mut self, data: &Data) -> Result<()> {
        let at_start = self.generator.clone();
        let train = self.recipe().train.clone();
        let count = data.train.set().len();
        let order =
            Epoch::enter(&mut self.generator, count, train.batch_size, train.shuffle, train.drop_last);
        if order.batches() == 0 {
            return Err(Error::usage(format_args!(
                "{count} training images make no batch of {} (drop_last): give a smaller --batch-size",
                train.batch_size
            )));
        }
        progress::note(format_args!("----- start training epoch {} -----", self.epoch + 1));
        let started = Instant::now();
        let mut bar = Progress::new(
            format!("epoch {}", self.epoch + 1),
            Some(order.batches() as u64),
            Unit::Count("batches"),
        )
        .bar_only();
        bar.start_at(self.batch);
        let target = Target {
            kind: self.learner.kind,
            device: self.learner.model.device(),
            seed: train.seed,
            epoch: self.epoch,
        };
        let steps = Position {
            epoch: self.epoch,
            epochs: train.epochs,
            step: self.step,
            steps: order.batches() as u64 * train.epochs,
        };
        data.train.for_each_batch(&order, self.batch as usize, target, |_, batch| {
            let at = Position { step: self.step, ..steps };
            self.learner.step(&batch, at)?;
            self.batch += 1;
            self.step += 1;
            bar.add(1);
            if self.step.is_multiple_of(BUNCH) {
                let loss = self.flush_losses()?;
                bar.message(format!("loss {loss:.4}"));
                bar.line(format!("train step: {}, loss: {loss}", self.step));
            }
            let stop = interrupt::requested();
            if stop || self.plan.save_every.is_some_and(|n| self.step.is_multiple_of(n)) {
                self.save_step(&at_start)?;
            }
            if stop { Err(self.interrupted()) } else { Ok(ControlFlow::Continue(())) }
        })?;
        self.flush_losses()?;
        let trained = started.elapsed();
        bar.finish();

        enter_loader(&mut self.generator);
        self.learner.swap_average();
        let result = evaluation::evaluate(
            &self.learner.model,
            &data.test,
            &train.loss,
            train.batch_size,
            self.learner.kind,
            |_, _| Ok(()),
        );
        self.learner.swap_average();
        let result = match result {
            Err(Error::Interrupted(_)) => {
                self.save_step(&at_start)?;
                return Err(self.interrupted());
            }
            result => result?,
        };
        self.epoch += 1;
        self.batch = 0;
        self.learner.evaluated(&result);
        self.report(&result)?;
        let speed = (order.batches() * train.batch_size) as f64 / trained.as_secs_f64();
        progress::detail(format_args!(
            "epoch {}: {} training ({speed:.0} images/s), {} in all",
            self.epoch,
            progress::duration(trained),
            progress::duration(started.elapsed())
        ));
        let path = self.plan.folder.epoch_checkpoint(self.epoch);
        self.save(path, &self.generator.clone())?;
        self.plan.folder.remove_step_checkpoints(None)
    }

    /// Reads back the losses since the last time, checks and records them, and returns the last.
    fn flush_losses(&mut self) -> Result<f64> {
        let mut last = f64::NAN;
        for StepLoss { step, wall_time, loss } in self.learner.take_losses() {
            last = loss;
            if !last.is_finite() {
                self.metrics.flush()?;
                let good = self.last.as_ref().map_or("none yet".to_owned(), |p| p.display().to_string());
                return Err(Error::failed(format_args!(
                    "the loss is {last} at step {step}: try a lower learning rate (--lr); the last good checkpoint: {good}"
                )));
            }
            let epoch = self.epoch + 1;
            self.metrics.push(&Point { wall_time, step, epoch, tag: "train loss".into(), value: last })?;
        }
        self.metrics.flush()?;
        Ok(last)
    }

    /// Prints and records what the evaluation after an epoch found.
    fn report(&mut self, result: &Evaluation) -> Result<()> {
        progress::note(format_args!("total loss in test set: {}", result.total_loss));
        progress::note(format_args!("accuracy in test set: {}", result.accuracy()));
        let (wall_time, epoch) = (now(), self.epoch);
        let values = [
            ("test loss", result.total_loss),
            ("test accuracy", result.accuracy()),
            ("test mean loss", result.mean_loss),
            ("learning rate", self.learner.lr()),
        ];
        for (tag, value) in values {
            self.metrics.push(&Point { wall_time, step: epoch, epoch, tag: tag.into(), value })?;
        }
        self.metrics.flush()?;
        if self.best.is_none_or(|(best, _)| result.accuracy() > best) {
            self.best = Some((result.accuracy(), epoch));
        }
        Ok(())
    }

    /// Saves in the middle of an epoch, which began with the default generator as it was `at_start`.
    fn save_step(&mut self, at_start: &Generator) -> Result<()> {
        self.flush_losses()?;
        let path = self.plan.folder.step_checkpoint(self.step);
        let path = self.save(path, at_start)?;
        self.plan.folder.remove_step_checkpoints(Some(&path))
    }

    /// Writes a checkpoint and the training state beside it, then points `last` at it.
    fn save(&mut self, path: PathBuf, generator: &Generator) -> Result<PathBuf> {
        let spec = (!self.plan.weights_only).then_some(&self.spec);
        self.learner.swap_average();
        let weights = checkpoint::write(&path, &self.learner.model, spec);
        self.learner.swap_average();
        let weights = weights?;
        let metrics = self.plan.folder.metrics();
        let state = State {
            weights,
            data: self.data_digest.clone(),
            epoch: self.epoch,
            batch: self.batch,
            step: self.step,
            generator: generator.clone(),
            learner: self.learner.state(),
            metrics: std::fs::metadata(&metrics).doing("read", &metrics)?.len(),
            best: self.best,
        };
        state.write(&state::path_beside(&path))?;
        // `last` comes at the end: a run killed before it goes on from the checkpoint before this one.
        if self.batch == 0 && self.best.is_some_and(|(_, epoch)| epoch == self.epoch) {
            self.plan.folder.point("best", &path)?;
        }
        self.plan.folder.point("last", &path)?;
        progress::detail(format_args!("saved {}", path.display()));
        self.last = Some(path.clone());
        Ok(path)
    }

    fn interrupted(&self) -> Error {
        let saved = self.last.as_ref().map_or(String::new(), |p| p.display().to_string());
        Error::Interrupted(format!(
            "interrupted after step {}; saved as {saved}; go on with: train --run {} --resume",
            self.step,
            self.plan.folder.path().display()
        ))
    }
}
