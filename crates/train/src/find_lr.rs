//! `--find-lr`: the learning-rate range test (Smith 2015, Cyclical Learning Rates for
//! Training Neural Networks). The network trains for a hundred steps with a learning rate
//! that grows from tiny to huge. If a file is named, the curve is written to it. Nothing
//! else is written.

mod curve;
mod page;
mod picture;
mod scale;

use std::ops::ControlFlow;
use std::path::Path;

use torchmill::progress::{self, Progress, Unit};
use torchmill::schedule::Position;
use torchmill::{Error, Result, atomic, cli, interrupt, recipe};
use torchmill_nn::distributed::Processes;
use torchmill_nn::generator::Generator;
use torchmill_nn::loader::{Batch, BatchOptions};
use torchmill_nn::sampler::Epoch;
use torchmill_nn::tensor::floats;
use torchmill_nn::{precision, torch_error};

use crate::args::Args;
use crate::config::prepare_device;
use crate::data::Data;
use crate::initial_weights;
use crate::trainer::{describe, new_network};
use crate::training_model::TrainingModel;
use curve::{Curve, STEPS};

/// Runs the test and prints the curve with a suggestion. Writes the curve to `file`: a
/// PNG if its name ends in `.png`, else an HTML page.
pub fn run(args: &Args, file: Option<&Path>) -> Result<()> {
    let recipe = args.override_recipe(&recipe::load(args.recipe())?)?;
    let mut recipe = torchmill_nn::recipe::resolve(&recipe)?;
    let device = prepare_device(args, &mut recipe, &Processes::single())?;
    let data = Data::open(&mut recipe, args.data.is_some())?
        .on(device, recipe.train.precision)?;
    // The test sets the learning rate itself, uses images of full size and evaluates nothing.
    recipe.train.schedule = None;
    recipe.train.progressive_resizing = None;
    recipe.train.ema = None;
    let spec = describe(&recipe, &data)?;
    let mut generator = Generator::new(recipe.train.seed);
    let mut network = new_network(&spec, &data, &mut generator, device)?;
    initial_weights::set(&mut network, &spec, &recipe, &data.train)?;
    let mut train = recipe.train.clone();
    train.loss = spec.loss.clone();
    let kind = precision::kind(train.precision);
    let options = BatchOptions { kind, device, seed: train.seed, epoch: 0 };
    let batch_size = train.batch_size.min(data.train.len());
    let mut model = TrainingModel::new(network, kind, train, spec.classes.len())?;
    model.start_part_threads()?;
    let curve = RangeTest { model, curve: Curve::default() }.run(
        &data,
        &mut generator,
        batch_size,
        options,
    )?;
    if let Some(file) = file {
        let title =
            format!("Learning-rate range test: {} on {}", recipe.name, spec.dataset);
        write(file, &curve, &title)?;
    }
    cli::print(curve.text().as_bytes())
}

fn write(file: &Path, curve: &Curve, title: &str) -> Result<()> {
    let is_png = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    let bytes = if is_png {
        picture::png(curve, title)?
    } else {
        page::page(curve, title).into_bytes()
    };
    atomic::write(file, &bytes)?;
    progress::note(file.display());
    Ok(())
}

/// A range test in progress.
struct RangeTest {
    model: TrainingModel,
    curve: Curve,
}

impl RangeTest {
    fn run(
        mut self,
        data: &Data,
        generator: &mut Generator,
        batch_size: usize,
        options: BatchOptions,
    ) -> Result<Curve> {
        let mut bar =
            Progress::new("find-lr", Some(STEPS as u64), Unit::Count("steps")).bar_only();
        while !self.curve.is_over() {
            let order = Epoch::enter(generator, data.train.len(), batch_size, true, true);
            data.train.for_each_batch(&order, 0, options, |_, batch| {
                interrupt::check()?;
                let loss = self.step(&batch)?;
                self.curve.add(loss);
                bar.add(1);
                let is_over = self.curve.is_over();
                Ok(if is_over {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
        }
        bar.finish();
        if self.curve.points.is_empty() {
            return Err(Error::failed(
                "the loss is not finite at the first step: there is no learning rate to \
                 suggest",
            ));
        }
        Ok(self.curve)
    }

    /// Does a step with the curve's next learning rate. Returns the loss before it.
    fn step(&mut self, batch: &Batch) -> Result<f64> {
        let step = self.curve.steps() as u64;
        let at = Position { epoch: 0, epochs: 1, step, steps: STEPS as u64 };
        self.model.begin_step(at);
        self.model.set_lr(self.curve.next_lr());
        let batch = self.model.mix(batch, at)?;
        let Some(loss) = self.model.train(&batch)? else { return Ok(f64::NAN) };
        let loss = loss.f_to_kind(tch::Kind::Float).map_err(|e| torch_error(&e))?;
        Ok(floats(&loss).first().copied().map_or(f64::NAN, f64::from))
    }
}
