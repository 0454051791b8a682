//! The network that a checkpoint holds, and the data to evaluate it on.

use std::path::{Path, PathBuf};

use tch::{Device, Kind};
use torchmill::recipe::{ARCHITECTURES, Loss, Recipe};
use torchmill::transform::Pipeline;
use torchmill::{Error, Result, recipe};
use torchmill_nn::loader::Dataset;
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;
use torchmill_nn::{checkpoint, device, precision};

use crate::args::Args;

/// Where and in what the layers compute.
#[derive(Debug, Clone, Copy)]
pub struct Arithmetic {
    /// The device.
    pub device: Device,
    /// The element type.
    pub kind: Kind,
}

impl Arithmetic {
    /// As the command line says.
    pub fn of(args: &Args) -> Result<Self> {
        precision::prepare(args.precision);
        let device = device::resolve(args.device)?;
        Ok(Self { device, kind: precision::kind(precision::resolve(args.precision, device)?) })
    }
}

/// A network ready to use.
pub struct Network {
    /// With its weights.
    pub model: Model,
    /// What its inputs and outputs mean.
    pub spec: Spec,
    /// The loss function that it was trained with, as far as that is known.
    pub loss: Loss,
}

/// The shards to evaluate on: `--data`, or those of the run that the checkpoint lies in.
pub fn data_folder(args: &Args, checkpoint: &Path) -> Result<PathBuf> {
    let shards = match &args.data {
        Some(data) => Some(data.clone()),
        None => run_of(checkpoint)?.and_then(|recipe| recipe.data.shards),
    };
    shards.ok_or_else(|| Error::usage("where are the shards? give --data DIR (prep writes them)"))
}

/// What the run that the checkpoint lies in was made of, where it lies in one.
fn run_of(checkpoint: &Path) -> Result<Option<Recipe>> {
    let checkpoints = checkpoint.parent().filter(|folder| folder.ends_with("checkpoints"));
    let config = checkpoints.map(|folder| folder.with_file_name("config.toml")).filter(|c| c.exists());
    config.map(|config| recipe::load(&config.to_string_lossy())).transpose()
}

/// `--model`: a recipe, or an architecture by itself.
fn network_of(name: &str) -> Result<Recipe> {
    // `article` is both; the recipe says more.
    if recipe::text(name).is_none() && ARCHITECTURES.iter().any(|a| a.name == name) {
        return Recipe::parse(&format!("name = \"{name}\"\nmodel.architecture = \"{name}\"\n"));
    }
    recipe::load(name)
}

/// Builds the network and loads its weights. A plain state dict takes its structure from `--model` or from the run
/// that it lies in, its classes and its input from the shards: `dataset`, where these are open.
pub fn load(args: &Args, path: &Path, dataset: Option<&Dataset>, device: Device) -> Result<Network> {
    let file = checkpoint::read(path)?;
    let named = args.model.as_deref().map(network_of).transpose()?;
    let full = file.spec.filter(|_| named.is_none());
    let recipe = match named {
        Some(recipe) => Some(recipe),
        None => run_of(path)?,
    };
    let loss = recipe.as_ref().map_or_else(Loss::default, |r| r.train.loss.clone());
    let spec = match (full, recipe) {
        (Some(spec), _) => spec,
        (None, Some(recipe)) => {
            let opened;
            let dataset = match dataset {
                Some(dataset) => dataset,
                None => {
                    opened = Dataset::open(&data_folder(args, path)?, &args.split)?;
                    &opened
                }
            };
            let meta = dataset.set().meta();
            Spec {
                model: recipe.model,
                input: dataset.image_shape()?,
                classes: meta.classes.clone(),
                transform: meta.pipeline.clone(),
                batch_size: recipe.train.batch_size,
                dataset: meta.dataset.clone(),
            }
        }
        (None, None) => {
            return Err(Error::usage(format_args!(
                "{} is a plain state dict, which does not say what network it is: give --model RECIPE, such as article",
                path.display()
            )));
        }
    };
    let at = |e: Error| e.within(path.display());
    let mut model = Model::empty(&spec, device).map_err(at)?;
    model.load_state_dict(&file.tensors).map_err(at)?;
    Ok(Network { model, spec, loss })
}

/// Checks that the shards are what the network takes, and notes a difference in how they were made.
pub fn check_data(path: &Path, spec: &Spec, dataset: &Dataset) -> Result<()> {
    let meta = dataset.set().meta();
    let fail = |text: std::fmt::Arguments| Err(Error::failed(text).within(path.display()));
    let shape = dataset.image_shape()?;
    if spec.input != shape {
        return fail(format_args!("takes images of {:?}, the shards hold {shape:?}", spec.input));
    }
    let (own, theirs) = (&spec.classes, &meta.classes);
    if own.len() != theirs.len() {
        return fail(format_args!("knows {} classes, the shards hold {}", own.len(), theirs.len()));
    }
    if let Some((i, (own, theirs))) = own.iter().zip(theirs).enumerate().find(|(_, (a, b))| a != b) {
        return fail(format_args!("its class {i} is `{own}`, the shards' is `{theirs}`: another data set"));
    }
    if !Pipeline::parse(&meta.pipeline)?.carries_out(&Pipeline::parse(&spec.transform)?) {
        torchmill::progress::note(format_args!(
            "note: {} was trained for images prepared with `{}`, these were prepared with `{}`",
            path.display(),
            spec.transform,
            meta.pipeline
        ));
    }
    Ok(())
}
