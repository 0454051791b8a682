//! The training loop. It follows the article's, but can stop after any step and continue.

mod checkpoints;
mod report;
mod setup;

pub use setup::{describe, new_network};

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use torchmill::metric::{self, METRICS, MetricType};
use torchmill::metrics::{MetricsWriter, Point};
use torchmill::progress::{self, Progress};
use torchmill::run::RunDir;
use torchmill::run::log::Outcome;
use torchmill::schedule::Position;
use torchmill::time::now;
use torchmill::{Error, ErrorKind, Result, interrupt};
use torchmill_nn::checkpoint;
use torchmill_nn::distributed::Processes;
use torchmill_nn::evaluation::{self, Evaluation};
use torchmill_nn::generator::Generator;
use torchmill_nn::loader::{Batch, BatchOptions, ShardData};
use torchmill_nn::sampler::{Epoch, Share, enter_loader};
use torchmill_nn::spec::Spec;
use torchmill_nn::state::{EvaluatedImages, SplitDigest};
use torchmill_nn::tta::Copies;
use torchmill_nn::weighted_sampler::WeightedSampler;

use crate::best_tracker::BestTracker;
use crate::budget::{Budget, Completed};
use crate::config::Config;
use crate::data::Data;
use crate::display::{Display, Row};
use crate::loss_log::{LossLog, StepLoss};
use crate::run_log::RunLog;
use crate::training_model::TrainingModel;

/// The number of steps after which losses are read back from the device, checked and
/// written. The article prints one every 100 steps.
const LOG_EVERY: u64 = 100;
/// Losses are read back at least this often, even if steps are slow.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Besides the wall times, only this tag may differ in a resumed run.
const IMAGES_PER_SECOND: &str = "x/images per second";

/// A run in progress.
pub struct Trainer<'a> {
    /// The processes that train together. Each has a trainer, and all do the same work,
    /// but only the first writes the run's folder.
    processes: &'a Processes,
    config: Config,
    spec: Spec,
    budget: Budget,
    model: TrainingModel,
    /// Stands in for PyTorch's default generator.
    generator: Generator,
    /// Draws the images of an epoch, if the recipe has a sampler.
    sampler: Option<WeightedSampler>,
    /// The writer of metrics.csv, in the first process only.
    metrics: Option<MetricsWriter>,
    losses: LossLog,
    best: BestTracker,
    display: Display,
    run_log: Option<RunLog>,
    completed: Completed,
    /// The learning rate of the last step.
    lr: f64,
    epoch_loss: MeanLoss,
    /// The last checkpoint.
    last: Option<PathBuf>,
    splits: Vec<SplitDigest>,
    evaluated: EvaluatedImages,
}

/// What the processes agree on after a step.
struct Signals {
    is_interrupted: bool,
    is_time_up: bool,
    /// Whether to read back the losses.
    reads_losses: bool,
}

/// The mean of an epoch's step losses.
#[derive(Default)]
struct MeanLoss {
    sum: f64,
    count: u64,
}

impl MeanLoss {
    fn add(&mut self, loss: f64) {
        self.sum += loss;
        self.count += 1;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// An epoch in progress.
struct EpochRun {
    order: Epoch,
    options: BatchOptions,
    /// The default generator's state at the start of the epoch.
    generator: Generator,
    /// The first batch that is not done.
    first_batch: usize,
    started: Instant,
    /// The duration of its steps, once they are done.
    trained: Duration,
    /// The time that its steps waited for images.
    waited: Duration,
    /// When the last step ended.
    idle_since: Instant,
    /// When the losses were last read back.
    logged: Instant,
}

impl EpochRun {
    fn step_begins(&mut self) {
        self.waited += self.idle_since.elapsed();
    }

    fn step_ends(&mut self) {
        self.idle_since = Instant::now();
    }
}

impl Trainer<'_> {
    /// The training loop. It ends between steps: when the run is done, or its time is up.
    fn fit(&mut self, data: &Data) -> Result<Outcome> {
        while !self.is_over() {
            let [is_time_up] = self.processes.any([self.budget.is_time_up()])?;
            if is_time_up {
                return Ok(Outcome::TimeIsUp);
            }
            let mut epoch = self.start_epoch(data);
            let mut bar = self.show_epoch(&epoch);
            let order = epoch.order.clone();
            let (first, options) = (epoch.first_batch, epoch.options);
            let mut outcome = None;
            data.train.for_each_batch(&order, first, options, |_, batch| {
                epoch.step_begins();
                let at = self.position();
                if at.step > 0 && self.model.is_unrehearsed() {
                    self.rehearse(&batch, at)?;
                }
                self.model.begin_step(at);
                let batch = self.model.mix(&batch, at)?;
                let loss = self.model.train(&batch)?;
                self.count_step();
                if let Some(loss) = loss {
                    self.losses.push(self.completed.steps, loss, batch.weight);
                }
                let signals = self.signals(&epoch)?;
                self.show_step(&mut epoch, &mut bar, &signals)?;
                outcome = self.save_if_due(&epoch, &signals)?;
                epoch.step_ends();
                Ok(break_if(outcome.is_some()))
            })?;
            self.flush_losses()?;
            bar.finish();
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            epoch.trained = epoch.started.elapsed();
            let evaluation = self.evaluate_epoch(data, &epoch)?;
            self.report_epoch(data, &epoch, evaluation)?;
            self.save_epoch()?;
        }
        Ok(Outcome::Done)
    }

    /// Computes the gradients of a batch before the first step of a resumed run, and
    /// discards them. The reducer sorts gradients into buckets in the order in which they
    /// become ready in the first backward pass. The buckets determine the order of its
    /// sums, and so their rounding.
    fn rehearse(&mut self, batch: &Batch, at: Position) -> Result<()> {
        let buffers = self.model.copy_buffers()?;
        self.model.begin_step(at);
        let batch = self.model.mix(batch, at)?;
        self.model.compute_gradients(&batch)?;
        self.model.restore_buffers(&buffers)
    }

    /// Trains until the run is done or its time is up, records how it ended, and returns
    /// the last checkpoint.
    pub fn run(&mut self, data: &Data) -> Result<PathBuf> {
        let result = self.train(data);
        let outcome = match &result {
            Ok((outcome, _)) => outcome.clone(),
            Err(e) if e.kind() == ErrorKind::Interrupted => Outcome::Interrupted,
            Err(e) => Outcome::Failed(e.to_string()),
        };
        if let Some(run_log) = &self.run_log {
            run_log.end(outcome, self.completed)?;
        }
        result.map(|(_, last)| last)
    }

    fn train(&mut self, data: &Data) -> Result<(Outcome, PathBuf)> {
        if self.is_over() && self.last.is_some() {
            self.say_what_is_done();
        }
        let outcome = self.fit(data)?;
        let last = match self.last.clone() {
            Some(last) => last,
            // With --epochs 0 or no time left, the initial weights are the result.
            None => self.save_initial()?,
        };
        if outcome == Outcome::TimeIsUp {
            self.say_time_is_up();
        } else if self.completed.steps > 0 {
            self.finish(data, &last)?;
        }
        Ok((outcome, last))
    }

    /// The run's folder.
    pub fn run_dir(&self) -> &RunDir {
        &self.config.run_dir
    }

    /// Whether there is nothing left to train.
    fn is_over(&self) -> bool {
        self.budget.is_reached(self.completed) || self.best.should_stop().is_some()
    }

    fn position(&self) -> Position {
        Position {
            epoch: self.completed.epochs,
            epochs: self.budget.epochs,
            step: self.completed.steps,
            steps: self.budget.steps,
        }
    }

    fn start_epoch(&mut self, data: &Data) -> EpochRun {
        let generator = self.generator.clone();
        let order = self.draw_order(data).limited(self.budget.batches as usize);
        let first_batch = self.completed.batches as usize;
        let options = BatchOptions {
            kind: self.model.kind,
            device: self.model.network.device(),
            seed: self.config.recipe.train.seed,
            epoch: self.completed.epochs,
        };
        let started = Instant::now();
        EpochRun {
            order,
            options,
            generator,
            first_batch,
            started,
            trained: Duration::ZERO,
            waited: Duration::ZERO,
            idle_since: started,
            logged: started,
        }
    }

    /// Draws the images of this process for a new epoch, in batches.
    fn draw_order(&mut self, data: &Data) -> Epoch {
        let train = &self.config.recipe.train;
        let is_random = train.overfit_batches.is_none();
        let sampler = self.sampler.as_ref().filter(|_| is_random);
        let shuffles = train.shuffle && is_random;
        let (size, drop_last) = (train.batch_size, train.drop_last);
        let images = data.train.len();
        let generator = &mut self.generator;
        if self.processes.size() == 1 {
            return match sampler {
                Some(sampler) => {
                    Epoch::enter_weighted(generator, sampler, size, drop_last)
                }
                None => Epoch::enter(generator, images, size, shuffles, drop_last),
            };
        }
        enter_loader(generator);
        let order = match sampler {
            Some(sampler) => sampler.draw(generator),
            None if shuffles => {
                // As in DistributedSampler, with the recipe's seed.
                let seed = train.seed.wrapping_add(self.completed.epochs);
                Generator::new(seed).permutation(images)
            }
            None => (0..images as u32).collect(),
        };
        Epoch::shared(&order, size, drop_last, share(self.processes))
    }

    fn show_epoch(&self, epoch: &EpochRun) -> Progress {
        let processes = self.processes.size() as usize;
        let images = epoch.order.images() * processes;
        // A batch may be larger than the data set.
        let batch_size = self.config.recipe.train.batch_size.saturating_mul(processes);
        let first = epoch.first_batch.saturating_mul(batch_size);
        self.display.epoch(
            self.completed.epochs + 1,
            self.budget.epochs,
            images as u64,
            images.min(first) as u64,
        )
    }

    fn count_step(&mut self) {
        self.completed.batches += 1;
        self.completed.steps += 1;
        self.lr = self.model.lr();
    }

    /// What to do after this step. All processes do it if any of them has a reason.
    fn signals(&self, epoch: &EpochRun) -> Result<Signals> {
        let [is_interrupted, is_time_up, reads_losses] = self.processes.any([
            interrupt::requested(),
            self.budget.is_time_up(),
            self.is_log_due() || epoch.logged.elapsed() >= LOG_INTERVAL,
        ])?;
        Ok(Signals { is_interrupted, is_time_up, reads_losses })
    }

    /// Whether the last step's loss is printed.
    fn is_log_due(&self) -> bool {
        self.completed.steps.is_multiple_of(LOG_EVERY)
    }

    /// Shows the last step's progress. From time to time, reads back the losses and shows
    /// the last one.
    fn show_step(
        &mut self,
        epoch: &mut EpochRun,
        bar: &mut Progress,
        signals: &Signals,
    ) -> Result<()> {
        let step = self.completed.steps;
        let batch = (self.completed.batches - 1) as usize;
        let images = epoch.order.batch(batch).len() as u64;
        bar.add(images * u64::from(self.processes.size()));
        let is_due = self.is_log_due();
        if signals.reads_losses {
            let loss = self.flush_losses()?;
            self.display.loss(bar, is_due.then_some(step), loss);
            epoch.logged = Instant::now();
        }
        Ok(())
    }

    /// Reads back the losses since the last call, checks and records them, and returns
    /// the last one.
    fn flush_losses(&mut self) -> Result<f64> {
        let mut last = f64::NAN;
        for StepLoss { step, wall_time, loss, is_of_nothing } in
            self.losses.take(self.processes)?
        {
            last = loss;
            if !loss.is_finite() {
                self.flush_metrics()?;
                return Err(if is_of_nothing {
                    no_mean(format_args!("step {step}'s batch"))
                } else {
                    self.diverged(loss, format_args!("at step {step}"))
                });
            }
            self.epoch_loss.add(loss);
            let epoch = self.completed.epochs + 1;
            let tag = "train loss".to_owned();
            let point = Point { wall_time, step, epoch, tag, value: loss };
            if let Some(metrics) = &mut self.metrics {
                metrics.push(&point)?;
            }
        }
        self.flush_metrics()?;
        Ok(last)
    }

    fn flush_metrics(&mut self) -> Result<()> {
        match &mut self.metrics {
            Some(metrics) => metrics.flush(),
            None => Ok(()),
        }
    }

    /// Saves if the recipe or the end of the run requires it. Returns the outcome if the
    /// run ends before its epoch does.
    fn save_if_due(
        &mut self,
        epoch: &EpochRun,
        signals: &Signals,
    ) -> Result<Option<Outcome>> {
        let outcome = if self.budget.ends_within_epoch(self.completed) {
            Some(Outcome::Done)
        } else if signals.is_time_up {
            Some(Outcome::TimeIsUp)
        } else {
            None
        };
        let save_every = self.config.recipe.checkpoints.save_every;
        let is_due = save_every.is_some_and(|n| self.completed.steps.is_multiple_of(n));
        if is_due || signals.is_interrupted || outcome.is_some() {
            self.save_step(&epoch.generator)?;
        }
        if signals.is_interrupted {
            return Err(self.interrupted());
        }
        Ok(outcome)
    }

    /// Evaluates at the end of an epoch, if this epoch is due.
    fn evaluate_epoch(
        &mut self,
        data: &Data,
        epoch: &EpochRun,
    ) -> Result<Option<Evaluation>> {
        let number = self.completed.epochs + 1;
        if !number.is_multiple_of(self.config.recipe.train.eval_every) {
            return Ok(None);
        }
        enter_loader(&mut self.generator);
        match self.evaluate_average(&data.eval, None) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                self.save_step(&epoch.generator)?;
                Err(self.interrupted())
            }
            found => found.map(Some),
        }
    }

    /// Counts the epoch, and records and shows its results.
    fn report_epoch(
        &mut self,
        data: &Data,
        epoch: &EpochRun,
        evaluation: Option<Evaluation>,
    ) -> Result<()> {
        self.completed.epochs += 1;
        self.completed.batches = 0;
        let number = self.completed.epochs;
        let mut is_best = false;
        if let Some(found) = &evaluation {
            self.model.step_plateau(found)?;
            is_best = self.record(data.eval_name, found, number)?;
        }
        let first = epoch.first_batch * self.config.recipe.train.batch_size;
        let images = epoch.order.images().saturating_sub(first);
        let images = images * self.processes.size() as usize;
        let speed = images as f64 / epoch.trained.as_secs_f64();
        self.push("x/learning rate", self.lr, number)?;
        self.push(IMAGES_PER_SECOND, speed, number)?;
        self.flush_metrics()?;
        let train_loss = std::mem::take(&mut self.epoch_loss).mean();
        self.display.row(&Row {
            epoch: number,
            train_loss,
            evaluation: evaluation.map(|found| (data.eval_name, found)),
            is_best,
            lr: self.lr,
            took: epoch.started.elapsed(),
            images_per_second: speed,
            waiting: epoch.waited.as_secs_f64() / epoch.trained.as_secs_f64(),
            epochs_left: self.budget.epochs.saturating_sub(number),
        });
        self.say_how_long(epoch, speed);
        Ok(())
    }

    /// Does the final evaluations when the run is done. They do not change the training
    /// state, so the run can continue with more epochs as if they had not happened.
    fn finish(&mut self, data: &Data, last: &Path) -> Result<()> {
        self.say_why_stopped();
        let is_cut_short = self.completed.batches > 0;
        let eval_every = self.config.recipe.train.eval_every;
        if is_cut_short || !self.completed.epochs.is_multiple_of(eval_every) {
            let epoch = self.completed.epochs + u64::from(is_cut_short);
            let found = self.evaluate_average(&data.eval, None);
            let found = found.map_err(|e| self.interrupted_after_saving(e))?;
            self.display.evaluation(data.eval_name, &found);
            let is_best = self.record(data.eval_name, &found, epoch)?;
            if is_best && self.processes.is_first() {
                self.config.run_dir.point("best", last)?;
            }
        }
        if let Some(test) = &data.test {
            self.test(test, last)?;
        }
        self.evaluate_copies(data)
    }

    /// Evaluates again with the recipe's test-time augmentation, if any.
    fn evaluate_copies(&mut self, data: &Data) -> Result<()> {
        let Some(tta) = self.config.recipe.train.tta else { return Ok(()) };
        let copies = Copies::new(tta, self.spec.input, data.eval.image_shape()?)?;
        let (split, found) = match &data.test {
            // The network holds the weights that were tested.
            Some(test) => ("test", self.evaluate(test, Some(copies))),
            None => (data.eval_name, self.evaluate_average(&data.eval, Some(copies))),
        };
        let found = found.map_err(|e| self.interrupted_after_saving(e))?;
        progress::note(format_args!("with test-time augmentation ({tta}):"));
        self.display.evaluation(split, &found);
        for metric in self.logged()? {
            // The total loss depends on the batch size and is left out.
            if metric.ranked_by.is_none() {
                let tag = format!("x/{} with {tta}", metric::tag(split, metric));
                self.push(&tag, found.value(metric), self.completed.epochs)?;
            }
        }
        self.flush_metrics()
    }

    /// Evaluates the test split with the weights that `best` points at.
    fn test(&mut self, test: &ShardData, last: &Path) -> Result<()> {
        if self.processes.is_first() {
            self.load_best(last)?;
        }
        if let Some(group) = self.processes.group() {
            self.model.share_weights(group)?;
        }
        let found = self.evaluate(test, None);
        let found = found.map_err(|e| self.interrupted_after_saving(e))?;
        self.display.evaluation("test", &found);
        let epoch = self.best.best().map_or(self.completed.epochs, |best| best.epoch);
        self.record("test", &found, epoch)?;
        Ok(())
    }

    /// Loads the weights that `best` points at. Without `best`, loads the last.
    fn load_best(&mut self, last: &Path) -> Result<()> {
        let best = self.config.run_dir.target("best")?;
        let tested = best.unwrap_or_else(|| last.to_path_buf());
        let weights = checkpoint::read(&tested)?.tensors;
        let loaded = self.model.network.load_state_dict(&weights);
        loaded.map_err(|e| e.within(tested.display()))?;
        progress::note(format_args!("testing {}", tested.display()));
        Ok(())
    }

    /// Evaluates the moving average of the weights if the recipe has one, else the
    /// weights.
    fn evaluate_average(
        &mut self,
        dataset: &ShardData,
        copies: Option<Copies>,
    ) -> Result<Evaluation> {
        self.model.swap_average()?;
        let found = self.evaluate(dataset, copies);
        self.model.swap_average()?;
        found
    }

    fn evaluate(
        &self,
        dataset: &ShardData,
        copies: Option<Copies>,
    ) -> Result<Evaluation> {
        self.model.share_buffers()?;
        let settings = evaluation::Settings {
            batch_size: self.config.recipe.train.batch_size,
            kind: self.model.kind,
            copies,
        };
        let mut bar = self.display.evaluating(dataset.len());
        let found = evaluation::evaluate(
            &self.model.network,
            dataset,
            &*self.model.loss,
            settings,
            self.processes.group(),
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
            format_args!("in the evaluation after step {}", self.completed.steps),
        ))
    }

    /// Records the result of an evaluation of the weights after `epoch`. Returns whether
    /// they are the best so far.
    fn record(&mut self, split: &str, found: &Evaluation, epoch: u64) -> Result<bool> {
        let before = self.best.best();
        for metric in self.logged()? {
            self.push(&metric::tag(split, metric), found.value(metric), epoch)?;
        }
        self.flush_metrics()?;
        Ok(self.best.best() != before)
    }

    /// The metrics that are written to metrics.csv: those that always are, and those that
    /// the recipe names.
    fn logged(&self) -> Result<Vec<&'static MetricType>> {
        let plateau = self.model.plateau_metric()?.map(|metric| metric.name);
        let mut logged = Vec::new();
        for metric in METRICS {
            let is_named = self.best.uses(metric) || plateau == Some(metric.name);
            if metric.is_logged || is_named {
                logged.push(metric);
            }
        }
        Ok(logged)
    }

    fn push(&mut self, tag: &str, value: f64, epoch: u64) -> Result<()> {
        let tag = tag.to_owned();
        let point = Point { wall_time: now(), step: epoch, epoch, tag, value };
        self.best.see(&point);
        match &mut self.metrics {
            Some(metrics) => metrics.push(&point),
            None => Ok(()),
        }
    }
}

/// This process's share of an epoch's images.
fn share(processes: &Processes) -> Share {
    Share { rank: processes.rank() as usize, size: processes.size() as usize }
}

fn break_if(is_over: bool) -> ControlFlow<()> {
    if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The error for a mean loss over no images.
fn no_mean(batch: std::fmt::Arguments) -> Error {
    Error::failed(format_args!(
        "no image of {batch} counts in its loss: [train] loss ignores their labels or \
         gives them the weight 0; give a larger --batch-size, or other weights"
    ))
}
