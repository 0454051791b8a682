//! Sets up a run. Every check that can fail comes before any change to the run's folder.

use std::hash::{DefaultHasher, Hasher};

use tch::Device;
use torchmill::metrics::{self, MetricsWriter, Point};
use torchmill::recipe::{ProgressiveResizing, Recipe, settings};
use torchmill::run::state_path;
use torchmill::{Error, Result, atomic, progress};
use torchmill_nn::distributed::Processes;
use torchmill_nn::generator::Generator;
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;
use torchmill_nn::state::{EvaluatedImages, State};
use torchmill_nn::tta::Copies;
use torchmill_nn::weighted_sampler::WeightedSampler;
use torchmill_nn::{loss, outputs, precision};

use super::{MeanLoss, Trainer, share};
use crate::best_tracker::BestTracker;
use crate::budget::{Budget, Completed};
use crate::config::Config;
use crate::data::{Data, by_sides};
use crate::display::Display;
use crate::initial_weights;
use crate::loss_log::LossLog;
use crate::resume;
use crate::run_log::RunLog;
use crate::training_model::TrainingModel;

impl<'a> Trainer<'a> {
    /// Builds the network, continues from a checkpoint if there is one, and creates the
    /// run's folder.
    pub fn new(
        mut config: Config,
        data: &Data,
        processes: &'a Processes,
    ) -> Result<Self> {
        let budget = plan_budget(&config, data, processes)?;
        let mut best = BestTracker::new(&config.recipe, data.eval_name)?;
        let spec = describe(&config.recipe, data)?;
        let sampler = make_sampler(&config.recipe, data)?;
        let mut start = Start::new(&config, &spec, data, processes.size())?;
        let budget = start.remaining(budget);
        start.replay(&mut best);
        record_run(&mut config, data, start.completed)?;
        // The other processes must have read the folder before the first one changes it.
        check_same(&config, data, &start, processes)?;
        match processes.group() {
            Some(group) => start.model.connect(group)?,
            None => start.model.start_part_threads()?,
        }
        let mut metrics = None;
        let mut run_log = None;
        if processes.is_first() {
            prepare_run_dir(&mut config, &start, &budget)?;
            restore_best(&config, &mut best, data.eval_name)?;
            metrics = Some(MetricsWriter::append(config.run_dir.metrics())?);
            run_log = Some(RunLog::start(&config, data, processes.size())?);
        }
        let trainer = Self {
            processes,
            metrics,
            run_log,
            display: Display::new(),
            losses: LossLog::default(),
            epoch_loss: start.epoch_loss(),
            last: config.resume.clone(),
            splits: data.splits.clone(),
            lr: start.lr,
            evaluated: start.evaluated,
            model: start.model,
            generator: start.generator,
            completed: start.completed,
            config,
            spec,
            budget,
            sampler,
            best,
        };
        trainer.say_what_starts(data);
        Ok(trainer)
    }
}

/// Where a run starts: at the beginning, or at a checkpoint.
struct Start {
    model: TrainingModel,
    generator: Generator,
    completed: Completed,
    is_resumed: bool,
    evaluated: EvaluatedImages,
    /// The learning rate of the last step.
    lr: f64,
    /// The contents of metrics.csv up to here, and its points.
    rows: Vec<u8>,
    points: Vec<Point>,
}

impl Start {
    fn new(config: &Config, spec: &Spec, data: &Data, processes: u32) -> Result<Self> {
        let mut generator = Generator::new(config.recipe.train.seed);
        let (model, resumed) =
            build_model(config, spec, data, &mut generator, processes)?;
        let evaluated = evaluated_images(data, resumed.as_ref());
        let mut start = Self {
            lr: model.lr(),
            model,
            generator,
            completed: Completed::default(),
            is_resumed: resumed.is_some(),
            evaluated,
            rows: Vec::new(),
            points: Vec::new(),
        };
        if let (Some(checkpoint), Some(state)) = (&config.resume, resumed) {
            start.rows = resume::metrics_before(checkpoint, &state)?;
            start.points = metrics::parse(&start.rows[..], &config.run_dir.metrics())?;
            start.generator = state.generator;
            start.lr = state.lr;
            start.completed = Completed {
                epochs: state.epoch,
                batches: state.batch,
                steps: state.step,
            };
        }
        Ok(start)
    }

    /// The remaining budget of a run that starts here.
    fn remaining(&self, budget: Budget) -> Budget {
        if self.is_resumed { budget.after(self.completed) } else { budget }
    }

    /// Feeds the tracker the metrics that can be compared with future ones.
    fn replay(&self, best: &mut BestTracker) {
        for point in &self.points {
            if point.epoch > self.evaluated.after_epoch {
                best.see(point);
            }
        }
    }

    /// The recorded losses of the current epoch.
    fn epoch_loss(&self) -> MeanLoss {
        let mut loss = MeanLoss::default();
        for point in &self.points {
            if point.epoch == self.completed.epochs + 1 && point.tag == "train loss" {
                loss.add(point.value);
            }
        }
        loss
    }
}

fn make_sampler(recipe: &Recipe, data: &Data) -> Result<Option<WeightedSampler>> {
    let Some(sampler) = &recipe.train.sampler else { return Ok(None) };
    WeightedSampler::new(sampler, &data.labels, &data.class_counts).map(Some)
}

fn plan_budget(config: &Config, data: &Data, processes: &Processes) -> Result<Budget> {
    let train = &config.recipe.train;
    let drawn = match &train.sampler {
        Some(sampler) => sampler.samples(data.train.len()),
        None => data.train.len(),
    };
    let images = share(processes).len(drawn, train.drop_last);
    let budget = Budget::new(train, images, config.max_time);
    if budget.batches == 0 {
        return Err(Error::usage(format_args!(
            "{images} training images make no batch of {} (drop_last): give a smaller \
             --batch-size",
            train.batch_size
        )));
    }
    Ok(budget)
}

/// The description of the network for checkpoints.
pub fn describe(recipe: &Recipe, data: &Data) -> Result<Spec> {
    let meta = data.train.set().meta();
    Ok(Spec {
        model: recipe.model.clone(),
        input: data.eval.image_shape()?,
        classes: meta.classes.clone(),
        transform: recipe.transforms.test.clone(),
        batch_size: recipe.train.batch_size,
        dataset: meta.dataset.clone(),
        loss: loss::balanced(&recipe.train.loss, &data.class_counts)?,
    })
}

/// Builds the network, with random weights, for the evaluated images. It also takes the
/// training images.
pub fn new_network(
    spec: &Spec,
    data: &Data,
    generator: &mut Generator,
    device: Device,
) -> Result<Model> {
    let network = Model::new(spec, generator, device)?;
    check_training_size(&network, spec, data)?;
    Ok(network)
}

/// Fails unless the network, which was built for the evaluated images, also takes the
/// training images.
fn check_training_size(network: &Model, spec: &Spec, data: &Data) -> Result<()> {
    let train = data.train.image_shape()?;
    if train == spec.input {
        return Ok(());
    }
    let [train_sides, input_sides] = [by_sides(train), by_sides(spec.input)];
    check_size(network, spec, train).map_err(|e| {
        e.within(format_args!(
            "training images are {train_sides}, evaluated images {input_sides}, and the \
             network does not take both: end both pipelines with the same size, or use a \
             network with a global AdaptiveAvgPool2d"
        ))
    })?;
    progress::note(format_args!(
        "note: training images are {train_sides}, evaluated images {input_sides}"
    ));
    Ok(())
}

/// Fails unless the network, which takes training images of full size, also takes those that
/// progressive resizing makes smaller.
fn check_resizing(
    network: &Model,
    spec: &Spec,
    data: &Data,
    resizing: &ProgressiveResizing,
) -> Result<()> {
    let full = data.train.image_shape()?;
    let [channels, height, width] = full;
    let mut shapes = Vec::new();
    for [height, width] in resizing.smaller_sizes([height, width]) {
        shapes.push([channels, height, width]);
    }
    for &shape in &shapes {
        check_size(network, spec, shape).map_err(|e| {
            e.within(format_args!(
                "[train.progressive_resizing] makes training images of {}, and the network \
                 does not take them: give a larger initial_scale, or use a network with a \
                 global AdaptiveAvgPool2d",
                by_sides(shape)
            ))
        })?;
    }
    if let Some(&first) = shapes.first() {
        progress::note(format_args!(
            "note: training images begin at {} (full size {})",
            by_sides(first),
            by_sides(full)
        ));
    }
    Ok(())
}

/// Fails unless the network takes images of this shape.
fn check_size(network: &Model, spec: &Spec, shape: [usize; 3]) -> Result<()> {
    // Some architectures check the size themselves.
    spec.model.written_out(shape)?;
    network.check_input(shape)
}

/// Builds the network with its initial weights: random, from a file, or from the
/// checkpoint to continue from.
fn build_model(
    config: &Config,
    spec: &Spec,
    data: &Data,
    generator: &mut Generator,
    processes: u32,
) -> Result<(TrainingModel, Option<State>)> {
    let recipe = &config.recipe;
    let mut network = new_network(spec, data, generator, config.device)?;
    if let Some(resizing) = &recipe.train.progressive_resizing {
        check_resizing(&network, spec, data, resizing)?;
    }
    let mut resumed = None;
    if let Some(path) = &config.resume {
        let (splits, train) = (&data.splits, &recipe.train);
        resumed = Some(resume::load(path, &mut network, splits, train, processes)?);
    } else {
        initial_weights::set(&mut network, spec, recipe, &data.train)?;
    }
    if let Some(tta) = recipe.train.tta {
        let copies = Copies::new(tta, spec.input, data.eval.image_shape()?);
        copies.map_err(|e| e.within("[train] tta"))?;
    }
    if let Some(advice) = outputs::advice(network.outputs(), &spec.loss)? {
        progress::note(format_args!("note: {advice}"));
    }
    let kind = precision::kind(recipe.train.precision);
    let mut train = recipe.train.clone();
    train.loss = spec.loss.clone();
    let mut model = TrainingModel::new(network, kind, train, spec.classes.len())?;
    if let (Some(state), Some(path)) = (&resumed, &config.resume) {
        let restored = model.restore(&state.train);
        restored.map_err(|e| e.within(state_path(path).display()))?;
    }
    Ok((model, resumed))
}

/// The number of images evaluated from now on. Metrics of a different number of images
/// are not compared with these.
fn evaluated_images(data: &Data, resumed: Option<&State>) -> EvaluatedImages {
    let count = data.eval.len() as u64;
    let Some(state) = resumed else {
        return EvaluatedImages { count, after_epoch: 0 };
    };
    if state.evaluated.count == count {
        return state.evaluated;
    }
    progress::note(format_args!(
        "note: {count} {} images are evaluated from now on, {} until now: best and early \
         stopping start again",
        data.eval_name, state.evaluated.count
    ));
    EvaluatedImages { count, after_epoch: state.epoch }
}

/// Adds what config.toml records about the run itself to the recipe.
fn record_run(config: &mut Config, data: &Data, completed: Completed) -> Result<()> {
    let record = &mut config.recipe.run;
    record.classes.clone_from(&data.train.set().meta().classes);
    if config.before.is_none() && config.resume.is_some() {
        record.branched_after_epoch = completed.epochs;
    }
    if let Some(before) = &config.before {
        let before = settings(&before.to_toml_without_run()?)?;
        let now = settings(&config.recipe.to_toml_without_run()?)?;
        config.recipe.run.note_changes(&before, &now, completed.epochs);
    }
    Ok(())
}

/// Fails if the processes would not train the same run.
fn check_same(
    config: &Config,
    data: &Data,
    start: &Start,
    processes: &Processes,
) -> Result<()> {
    let mut recipe = config.recipe.clone();
    // Paths may differ between machines. The first process's weights are used.
    recipe.data.shards = None;
    recipe.model.init = None;
    let recipe = digest(&recipe.to_toml_without_run()?);
    processes.check_same("recipe", &recipe, "another recipe")?;
    let splits = digest(&format!("{:?}", data.splits));
    processes.check_same("shards", &splits, "other shards")?;
    let checkpoint = format!("{:?}", start.completed);
    processes.check_same("checkpoint", &checkpoint, "another checkpoint to go on from")
}

fn digest(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    format!("{:016x}", hasher.finish())
}

/// All checks that can fail are done. From here on, the folder changes.
fn prepare_run_dir(config: &mut Config, start: &Start, budget: &Budget) -> Result<()> {
    // A recipe that cannot be written must not leave a folder behind.
    config.recipe.to_toml()?;
    let run_dir = &mut config.run_dir;
    run_dir.make()?;
    run_dir.clear()?;
    // Asking for fewer epochs than are done is a no-op and must not change config.toml.
    let is_over = start.is_resumed && budget.is_reached(start.completed);
    if !(is_over && config.before.is_some()) {
        run_dir.write_config(&config.recipe)?;
    }
    run_dir.remove_step_checkpoints(config.resume.as_deref())?;
    atomic::write(run_dir.metrics(), &start.rows)?;
    if let (Some(checkpoint), Some(_)) = (&config.resume, &config.before) {
        // The link may have been lost in a copy.
        run_dir.point("last", checkpoint)?;
    }
    Ok(())
}

/// Points `best` at the best existing checkpoint, and deletes the checkpoints that are
/// not kept. A killed run may not have done so.
fn restore_best(config: &Config, best: &mut BestTracker, split: &str) -> Result<()> {
    point_best(config, best, split)?;
    match config.recipe.checkpoints.keep {
        Some(keep) => config.run_dir.prune(keep),
        None => Ok(()),
    }
}

/// If the metric for `best` has changed, keeps the previous best checkpoint under another
/// name.
fn point_best(config: &Config, best: &mut BestTracker, split: &str) -> Result<()> {
    let run_dir = &config.run_dir;
    let ever = best.best();
    best.keep_existing(|epoch| run_dir.epoch_checkpoint(epoch).exists());
    let epoch = best.best().map(|best| best.epoch);
    let Some(before) = &config.before else { return run_dir.restore_best(epoch) };
    let metric = BestTracker::metric_of(before, split)?;
    if metric == best.metric() {
        return run_dir.restore_best(epoch);
    }
    if let Some(target) = run_dir.target("best")?
        && target.exists()
    {
        let name = format!("best-{}", metric.replace(' ', "-"));
        run_dir.point(&name, &target)?;
        progress::note(format_args!(
            "note: best.safetensors goes by {} from now on; the best by {metric} stays, \
             as {name}.safetensors",
            best.metric()
        ));
    }
    if let Some(ever) = ever
        && best.best() != Some(ever)
    {
        progress::note(format_args!(
            "note: the best by {} was epoch {} ({}), whose checkpoint has been deleted \
             (keep)",
            best.metric(),
            ever.epoch,
            ever.value
        ));
    }
    run_dir.restore_best(epoch)
}
