//! The training loop: the article's, that can stop at any step and go on.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use torchmill::metric::{self, METRICS};
use torchmill::metrics::{self, MetricsWriter, Point};
use torchmill::progress::{self, Progress};
use torchmill::recipe::Recipe;
use torchmill::{Context, Error, Result, atomic, interrupt};
use torchmill_nn::evaluation::{self, Evaluation};
use torchmill_nn::generator::Generator;
use torchmill_nn::loader::{Dataset, Target};
use torchmill_nn::model::Model;
use torchmill_nn::sampler::{Epoch, enter_loader};
use torchmill_nn::schedule::Position;
use torchmill_nn::spec::Spec;
use torchmill_nn::state::{self, Order, State};
use torchmill_nn::{checkpoint, device, precision};

use crate::data::Data;
use crate::display::{Display, Row};
use crate::folder::RunFolder;
use crate::goal::Goal;
use crate::plan::Plan;
use crate::record::Record;
use crate::resume;
use crate::step::{Learner, StepLoss, now};
use crate::watch::Watch;

/// Losses are read back from the device, checked and written in bunches of so many steps;
/// the article prints one every 100.
const BUNCH: u64 = 100;
/// Who watches slow steps does not wait for so many of them: the bar and metrics.csv are
/// no older than this.
const GLANCE: Duration = Duration::from_secs(1);

/// The one tag beside the wall times that a resumed run need not have the same of.
const IMAGES_PER_SECOND: &str = "images per second";

/// A run under way.
pub struct Session {
    plan: Plan,
    spec: Spec,
    goal: Goal,
    learner: Learner,
    /// PyTorch's default generator.
    generator: Generator,
    metrics: MetricsWriter,
    watch: Watch,
    display: Display,
    record: Record,
    epoch: u64,
    batch: u64,
    step: u64,
    /// The learning rate of the last step.
    lr: f64,
    /// The losses of the epoch under way: their sum and number.
    losses: (f64, u64),
    last: Option<PathBuf>,
    digest: String,
}

/// Makes `best` point at the best of the checkpoints that are there. Where it goes by
/// another metric than until now, what it pointed at is kept under another name.
fn restore_best(plan: &Plan, watch: &mut Watch, eval: &str) -> Result<()> {
    let folder = &plan.folder;
    let kept = |epoch| folder.epoch_checkpoint(epoch).exists();
    let ever = watch.best();
    watch.best_of(kept);
    let best = watch.best().map(|(_, epoch)| epoch);
    let Some(before) = &plan.before else { return folder.restore_best(best) };
    let metric = Watch::new(before, eval)?.metric().to_owned();
    if metric != watch.metric() {
        if let Some(target) = folder.target("best")?.filter(|target| target.exists()) {
            let name = format!("best-{}", metric.replace(' ', "-"));
            folder.point(&name, &target)?;
            progress::note(format_args!(
                "note: best.safetensors goes by {} from now on; the best by {metric} stays, as {name}.safetensors",
                watch.metric()
            ));
        }
        if let (Some((value, epoch)), true) = (ever, watch.best() != ever) {
            progress::note(format_args!(
                "note: the best by {} was epoch {epoch} ({value}), whose checkpoint has been deleted (keep)",
                watch.metric()
            ));
        }
    }
    folder.restore_best(best)
}

/// A loss that is a mean over nothing.
fn no_mean(batch: std::fmt::Arguments) -> Error {
    Error::failed(format_args!(
        "no image of {batch} counts, so its loss has no mean: by [train] loss their labels are ignored or weigh 0; give a larger --batch-size, or other weights"
    ))
}

/// Why an epoch, or a run, is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It is done.
    Done,
    /// The run's last step came before the epoch's.
    Steps,
    /// `--max-time` has passed.
    Time,
}

impl Session {
    /// Builds the network, takes up a checkpoint where there is one to go on from, and
    /// makes the run folder.
    pub fn start(mut plan: Plan, data: &Data) -> Result<Self> {
        let meta = data.train.set().meta();
        let recipe = &plan.recipe;
        let goal = Goal::new(&recipe.train, data.train.len(), plan.max_time);
        if goal.batches == 0 {
            return Err(Error::usage(format_args!(
                "{} training images make no batch of {} (drop_last): give a smaller --batch-size",
                data.train.len(),
                recipe.train.batch_size
            )));
        }
        let mut watch = Watch::new(recipe, data.eval_name)?;
        let spec = Spec {
            model: recipe.model.clone(),
            input: data.train.image_shape()?,
            classes: meta.classes.clone(),
            transform: recipe.transforms.test.clone(),
            batch_size: recipe.train.batch_size,
            dataset: meta.dataset.clone(),
            loss: recipe.train.loss.clone(),
        };
        let mut generator = Generator::new(recipe.train.seed);
        let mut model = Model::new(&spec, &mut generator, plan.device)?;
        if let Some(path) = recipe.model.init.as_deref().filter(|_| plan.resume.is_none())
        {
            let weights = checkpoint::read(path)?.tensors;
            let loaded = model.load_initial(&weights, &recipe.model.init_except);
            let loaded = loaded.map_err(|e| e.within(path.display()))?;
            progress::note(format_args!("{}: {loaded}", path.display()));
        }
        let take_up = |path: &PathBuf| {
            resume::take_up(path, &mut model, &data.digest, &recipe.train)
        };
        let resumed = plan.resume.as_ref().map(take_up).transpose()?;
        let kind = precision::kind(recipe.train.precision);
        let mut learner =
            Learner::new(model, kind, recipe.train.clone(), spec.classes.len())?;
        if let (Some(state), Some(path)) = (&resumed, &plan.resume) {
            let restored = learner.restore(&state.learner);
            restored.map_err(|e| e.within(state::path_beside(path).display()))?;
        }
        let goal = resumed
            .as_ref()
            .map_or(goal, |state| goal.after(state.epoch, state.batch, state.step));
        let over =
            resumed.as_ref().is_some_and(|s| goal.is_reached(s.epoch, s.batch, s.step));
        let rows = resume::metrics_before(plan.resume.as_deref(), resumed.as_ref())?;
        // What the run has found so far follows from its metrics.
        let before = metrics::parse(&rows[..], &plan.folder.metrics())?;
        before.iter().for_each(|point| watch.see(point));
        // All that can be refused has been: from here on the folder changes.
        plan.folder.make()?;
        plan.folder.clear()?;
        // Who asks for less than has been done gets nothing, and that is no setting of
        // the run's.
        if !(over && plan.before.is_some()) {
            plan.folder.write_config(&plan.recipe)?;
        }
        plan.folder.remove_step_checkpoints(plan.resume.as_deref())?;
        atomic::write(plan.folder.metrics(), &rows)?;
        if let (Some(checkpoint), Some(_)) = (&plan.resume, &plan.before) {
            // A copy may have lost the link.
            plan.folder.point("last", checkpoint)?;
        }
        restore_best(&plan, &mut watch, data.eval_name)?;
        // A run killed before it came to this.
        plan.recipe.checkpoints.keep.map_or(Ok(()), |keep| plan.folder.prune(keep))?;
        let under_way = resumed.as_ref().map_or(1, |state| state.epoch + 1);
        let losses =
            before.iter().filter(|p| p.epoch == under_way && p.tag == "train loss");
        let losses = losses.fold((0.0, 0), |(sum, n), point| (sum + point.value, n + 1));
        let mut session = Self {
            metrics: MetricsWriter::append(plan.folder.metrics())?,
            record: Record::start(&plan, data)?,
            display: Display::new(),
            last: plan.resume.clone(),
            digest: data.digest.clone(),
            lr: resumed.as_ref().map_or(learner.lr(), |state| state.lr),
            plan,
            spec,
            goal,
            learner,
            generator,
            watch,
            losses,
            epoch: 0,
            batch: 0,
            step: 0,
        };
        if let Some(state) = resumed {
            (session.epoch, session.batch, session.step) =
                (state.epoch, state.batch, state.step);
            session.generator = state.generator;
        }
        session.say_what_starts(data);
        Ok(session)
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.plan.folder
    }

    /// Trains until the run is done or its time is up, writes down how it ended, and
    /// returns the last checkpoint.
    pub fn run(&mut self, data: &Data) -> Result<PathBuf> {
        let result = self.train(data);
        let outcome = match &result {
            Ok((Ended::Time, _)) => "time is up".to_owned(),
            Ok(_) => "done".to_owned(),
            Err(Error::Interrupted(_)) => "interrupted".to_owned(),
            Err(e) => e.to_string(),
        };
        self.record.end(&outcome, self.epoch, self.step)?;
        result.map(|(_, last)| last)
    }

    fn train(&mut self, data: &Data) -> Result<(Ended, PathBuf)> {
        if self.is_over() && self.last.is_some() {
            self.say_what_is_done();
        }
        let mut ended = Ended::Done;
        while ended == Ended::Done && !self.is_over() {
            ended =
                if self.goal.is_late() { Ended::Time } else { self.train_epoch(data)? };
        }
        if self.last.is_none() {
            // --epochs 0, or no time at all: the initial weights are the result.
            let path = self.plan.folder.epoch_checkpoint(0);
            self.save(path, &self.generator.clone())?;
        }
        if ended == Ended::Time {
            progress::note(format_args!(
                "the time is up after step {}; go on with: train --run {} --resume",
                self.step,
                self.plan.folder.path().display()
            ));
        } else if self.step > 0 {
            if let Some(why) = self.watch.no_use() {
                progress::note(format_args!(
                    "stopped early after epoch {}: {why}",
                    self.epoch
                ));
            }
            self.close(data)?;
        }
        Ok((ended, self.last.clone().unwrap_or_default()))
    }

    /// Whether there is nothing more to train.
    fn is_over(&self) -> bool {
        self.goal.is_reached(self.epoch, self.batch, self.step)
            || self.watch.no_use().is_some()
    }

    /// What is found out once at the end. It is no part of the training state: were the
    /// run to go on to more epochs, it would be as if this had not been.
    fn close(&mut self, data: &Data) -> Result<()> {
        let cut_short = self.batch > 0;
        if cut_short || !self.epoch.is_multiple_of(self.recipe().train.eval_every) {
            let epoch = self.epoch + u64::from(cut_short);
            let found =
                self.evaluate_average(&data.eval).map_err(|e| self.saved_before(e))?;
            self.display.evaluation(data.eval_name, &found);
            let best = self.report(data.eval_name, &found, epoch)?;
            if let Some(last) = self.last.as_ref().filter(|_| best) {
                self.plan.folder.point("best", last)?;
            }
        }
        if let Some(test) = &data.test {
            let tested = self
                .plan
                .folder
                .target("best")?
                .or_else(|| self.last.clone())
                .unwrap_or_default();
            let weights = checkpoint::read(&tested)?.tensors;
            self.learner
                .model
                .load_state_dict(&weights)
                .map_err(|e| e.within(tested.display()))?;
            progress::note(format_args!("testing {}", tested.display()));
            let found = self.evaluate(test).map_err(|e| self.saved_before(e))?;
            self.display.evaluation("test", &found);
            let epoch = self.watch.best().map_or(self.epoch, |(_, epoch)| epoch);
            self.report("test", &found, epoch)?;
        }
        Ok(())
    }

    fn recipe(&self) -> &Recipe {
        &self.plan.recipe
    }

    fn say_what_starts(&self, data: &Data) {
        progress::note(format_args!("train set size: {}", data.train.len()));
        if data.eval_name != "test" {
            progress::note(format_args!(
                "{} set size: {}",
                data.eval_name,
                data.eval.len()
            ));
        }
        match (&data.test, data.eval_name) {
            (Some(test), _) => {
                progress::note(format_args!(
                    "test set size: {} (tested on once, at the end)",
                    test.len()
                ));
            }
            (None, "test") => {
                progress::note(format_args!("test set size: {}", data.eval.len()));
            }
            (None, _) => {}
        }
        let going_on = match (&self.plan.resume, self.batch) {
            (None, _) => String::new(),
            (Some(path), 0) => {
                format!(", going on from {} after epoch {}", path.display(), self.epoch)
            }
            (Some(path), n) => {
                format!(
                    ", going on from {} in epoch {} after batch {n}",
                    path.display(),
                    self.epoch + 1
                )
            }
        };
        progress::note(format_args!(
            "{}: {} parameters on {}{going_on}",
            self.recipe().name,
            progress::count(self.learner.model.parameter_count() as u64),
            device::name(self.learner.model.device()),
        ));
    }

    fn say_what_is_done(&self) {
        if self.goal.is_reached(self.epoch, self.batch, self.step) {
            let (amount, option, done) = match self.recipe().train.steps {
                Some(steps) => (format!("{steps} steps"), "--steps", self.step),
                None => (
                    format!("{} epochs", self.recipe().train.epochs),
                    "--epochs",
                    self.epoch,
                ),
            };
            let as_before = self.plan.before.as_ref().is_none_or(|before| {
                (before.train.epochs, before.train.steps)
                    == (self.recipe().train.epochs, self.recipe().train.steps)
            });
            progress::note(if as_before {
                format!(
                    "all {amount} that this run's config.toml asks for are done already; {option} asks for more"
                )
            } else {
                format!(
                    "{amount} are asked for and {done} are done already: nothing to do; {option} asks for more"
                )
            });
        }
    }

    fn train_epoch(&mut self, data: &Data) -> Result<Ended> {
        let at_start = self.generator.clone();
        let train = self.recipe().train.clone();
        let shuffled = Order::of(&train).shuffled;
        let order = Epoch::enter(
            &mut self.generator,
            data.train.len(),
            train.batch_size,
            shuffled,
            train.drop_last,
        )
        .limited(self.goal.batches as usize);
        let started = Instant::now();
        let before = order.images().min(self.batch as usize * train.batch_size);
        let bar = self.display.epoch(
            self.epoch + 1,
            self.goal.epochs,
            order.images() as u64,
            before as u64,
        );
        let (ended, bar) = self.make_steps(data, &order, &at_start, bar)?;
        bar.finish();
        let trained = started.elapsed();
        if ended != Ended::Done {
            return Ok(ended);
        }
        let mut evaluation = None;
        if (self.epoch + 1).is_multiple_of(train.eval_every) {
            enter_loader(&mut self.generator);
            evaluation = match self.evaluate_average(&data.eval) {
                Err(Error::Interrupted(_)) => {
                    self.save_step(&at_start)?;
                    return Err(self.interrupted());
                }
                found => Some((data.eval_name, found?)),
            };
        }
        self.epoch += 1;
        self.batch = 0;
        if let Some((_, found)) = &evaluation {
            self.learner.evaluated(found);
        }
        let best = match &evaluation {
            Some((name, found)) => self.report(name, found, self.epoch)?,
            None => false,
        };
        let lr = self.lr;
        let images = (order.images() - before) as f64 / trained.as_secs_f64();
        self.push("learning rate", lr, self.epoch)?;
        self.push(IMAGES_PER_SECOND, images, self.epoch)?;
        self.metrics.flush()?;
        self.display.row(&Row {
            epoch: self.epoch,
            train_loss: self.losses.0 / self.losses.1 as f64,
            evaluation,
            is_best: best,
            lr,
            took: started.elapsed(),
        });
        self.losses = (0.0, 0);
        progress::detail(format_args!(
            "epoch {}: {} training ({images:.0} images/s), {} in all",
            self.epoch,
            progress::duration(trained),
            progress::duration(started.elapsed())
        ));
        let path = self.plan.folder.epoch_checkpoint(self.epoch);
        self.save(path, &self.generator.clone())?;
        self.plan.folder.remove_step_checkpoints(None)?;
        self.recipe()
            .checkpoints
            .keep
            .map_or(Ok(()), |keep| self.plan.folder.prune(keep))?;
        Ok(Ended::Done)
    }

    /// Makes the epoch's steps from the one under way on.
    fn make_steps(
        &mut self,
        data: &Data,
        order: &Epoch,
        at_start: &Generator,
        mut bar: Progress,
    ) -> Result<(Ended, Progress)> {
        let target = Target {
            kind: self.learner.kind,
            device: self.learner.model.device(),
            seed: self.recipe().train.seed,
            epoch: self.epoch,
        };
        let save_every = self.recipe().checkpoints.save_every;
        let (from, goal) = (self.batch as usize, self.goal);
        let mut ended = Ended::Done;
        let mut looked = Instant::now();
        data.train.for_each_batch(order, from, target, |_, batch| {
            let at = Position {
                epoch: self.epoch,
                epochs: goal.epochs,
                step: self.step,
                steps: goal.steps,
            };
            self.learner.step(&batch, at)?;
            self.lr = self.learner.lr();
            self.batch += 1;
            self.step += 1;
            bar.add(batch.labels.size()[0] as u64);
            let is_bunch = self.step.is_multiple_of(BUNCH);
            if is_bunch || looked.elapsed() >= GLANCE {
                let loss = self.flush_losses()?;
                self.display.loss(&bar, is_bunch.then_some(self.step), loss);
                looked = Instant::now();
            }
            if self.step == goal.steps && self.batch < goal.batches {
                ended = Ended::Steps;
            } else if goal.is_late() {
                ended = Ended::Time;
            }
            let stop = interrupt::requested();
            if stop
                || ended != Ended::Done
                || save_every.is_some_and(|n| self.step.is_multiple_of(n))
            {
                self.save_step(at_start)?;
            }
            if stop {
                return Err(self.interrupted());
            }
            Ok(if ended == Ended::Done {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        self.flush_losses()?;
        Ok((ended, bar))
    }

    /// Evaluates the moving average of the weights, where the recipe asks for one, and
    /// else the weights.
    fn evaluate_average(&mut self, dataset: &Dataset) -> Result<Evaluation> {
        self.learner.swap_average();
        let found = self.evaluate(dataset);
        self.learner.swap_average();
        found
    }

    fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation> {
        let train = &self.recipe().train;
        let (model, kind) = (&self.learner.model, self.learner.kind);
        let mut bar = self.display.evaluating(dataset.len());
        let found = evaluation::evaluate(
            model,
            dataset,
            &train.loss,
            train.batch_size,
            kind,
            |_, _| {
                bar.add(1);
                Ok(())
            },
        );
        bar.finish();
        let found = found?;
        if found.total_loss().is_finite() {
            return Ok(found);
        }
        if found.mean_loss().is_finite() {
            return Err(no_mean(format_args!("one of the evaluation's batches")));
        }
        Err(self.diverged(
            found.total_loss(),
            format_args!("in the evaluation after step {}", self.step),
        ))
    }

    /// Reads back the losses since the last time, checks and records them, and returns
    /// the last.
    fn flush_losses(&mut self) -> Result<f64> {
        let mut last = f64::NAN;
        for StepLoss { step, wall_time, loss, of_nothing } in self.learner.take_losses() {
            last = loss;
            if of_nothing {
                self.metrics.flush()?;
                return Err(no_mean(format_args!("step {step}'s batch")));
            }
            if !last.is_finite() {
                self.metrics.flush()?;
                return Err(self.diverged(last, format_args!("at step {step}")));
            }
            let epoch = self.epoch + 1;
            self.losses = (self.losses.0 + last, self.losses.1 + 1);
            self.metrics.push(&Point {
                wall_time,
                step,
                epoch,
                tag: "train loss".into(),
                value: last,
            })?;
        }
        self.metrics.flush()?;
        Ok(last)
    }

    fn diverged(&self, loss: f64, place: std::fmt::Arguments) -> Error {
        let good =
            self.last.as_ref().map_or("none yet".to_owned(), |p| p.display().to_string());
        Error::failed(format_args!(
            "the loss is {loss} {place}: try a lower learning rate (--lr); the last good checkpoint: {good}"
        ))
    }

    /// Records what an evaluation found of the weights after `epoch`, and says whether
    /// they are the best so far.
    fn report(&mut self, name: &str, found: &Evaluation, epoch: u64) -> Result<bool> {
        let before = self.watch.best();
        for (metric, value) in METRICS.iter().zip(found.values) {
            self.push(&metric::tag(name, metric), value, epoch)?;
        }
        self.metrics.flush()?;
        Ok(self.watch.best() != before)
    }

    fn push(&mut self, tag: &str, value: f64, epoch: u64) -> Result<()> {
        let point =
            Point { wall_time: now(), step: epoch, epoch, tag: tag.to_owned(), value };
        self.watch.see(&point);
        self.metrics.push(&point)
    }

    /// Saves in the middle of an epoch, which began with the default generator as it was
    /// `at_start`.
    fn save_step(&mut self, at_start: &Generator) -> Result<()> {
        self.flush_losses()?;
        let path = self.plan.folder.step_checkpoint(self.step);
        let path = self.save(path, at_start)?;
        self.plan.folder.remove_step_checkpoints(Some(&path))
    }

    /// Writes a checkpoint and the training state beside it, then points `last` at it.
    fn save(&mut self, path: PathBuf, generator: &Generator) -> Result<PathBuf> {
        // The last step's loss can be fine and what it did to the weights not.
        if !self.learner.model.is_finite() {
            return Err(self.diverged(f64::NAN, format_args!("after step {}", self.step)));
        }
        let spec = (!self.recipe().checkpoints.weights_only).then_some(&self.spec);
        self.learner.swap_average();
        let weights = checkpoint::write(&path, &self.learner.model, spec);
        self.learner.swap_average();
        let weights = weights?;
        let metrics = self.plan.folder.metrics();
        let state = State {
            weights,
            data: self.digest.clone(),
            epoch: self.epoch,
            batch: self.batch,
            order: Order::of(&self.recipe().train),
            step: self.step,
            generator: generator.clone(),
            learner: self.learner.state(),
            metrics: std::fs::metadata(&metrics).doing("read", &metrics)?.len(),
            lr: self.lr,
        };
        state.write(&state::path_beside(&path))?;
        // `last` comes at the end: a run killed before it goes on from the checkpoint
        // before this one.
        if self.batch == 0
            && self.watch.best().is_some_and(|(_, epoch)| epoch == self.epoch)
        {
            self.plan.folder.point("best", &path)?;
        }
        self.plan.folder.point("last", &path)?;
        progress::detail(format_args!("saved {}", path.display()));
        self.last = Some(path.clone());
        Ok(path)
    }

    /// Ctrl-C in an evaluation that comes after the last checkpoint.
    fn saved_before(&self, error: Error) -> Error {
        if matches!(error, Error::Interrupted(_)) { self.interrupted() } else { error }
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
