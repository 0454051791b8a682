//! The network that a checkpoint holds, and the data to evaluate it on.

use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};
use torchmill::recipe::{ARCHITECTURES, Recipe, recorded_shards_are_there};
use torchmill::transform::{Pipeline, SampleKind, SampleSpec};
use torchmill::{Context, Error, Result, recipe, suggest};
use torchmill_nn::loader::Dataset;
use torchmill_nn::loss::{self, Loss};
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
        Ok(Self {
            device,
            kind: precision::kind(precision::resolve(args.precision, device)?),
        })
    }
}

/// A network ready to use.
pub struct Network {
    /// With its weights.
    pub model: Model,
    /// What its inputs and outputs mean.
    pub spec: Spec,
    /// The loss function that it was trained with.
    pub loss: Box<dyn Loss>,
}

/// The shards to evaluate on: `--data`, or those of the run that the checkpoint lies in.
pub fn data_folder(args: &Args, checkpoint: &Path) -> Result<PathBuf> {
    folder(args, checkpoint)?.ok_or_else(|| {
        Error::usage("where are the shards? give --data DIR (prep writes them)")
    })
}

/// The same, where there is one.
fn folder(args: &Args, checkpoint: &Path) -> Result<Option<PathBuf>> {
    if let Some(data) = &args.data {
        return Ok(Some(data.clone()));
    }
    let recorded = run_of(checkpoint)?.and_then(|recipe| recipe.data.shards);
    recorded.as_deref().map_or(Ok(()), recorded_shards_are_there)?;
    Ok(recorded)
}

/// What the run that the checkpoint lies in was made of, where it lies in one.
fn run_of(checkpoint: &Path) -> Result<Option<Recipe>> {
    let checkpoints =
        checkpoint.parent().filter(|folder| folder.ends_with("checkpoints"));
    let config = checkpoints
        .map(|folder| folder.with_file_name("config.toml"))
        .filter(|c| c.exists());
    config.map(|config| recipe::load(&config.to_string_lossy())).transpose()
}

/// `--model`: a recipe, or an architecture by itself.
fn network_of(name: &str) -> Result<Recipe> {
    // `article` is both; the recipe says more.
    if recipe::text(name).is_none() && ARCHITECTURES.iter().any(|a| a.name == name) {
        return Recipe::parse(&format!(
            "name = \"{name}\"\nmodel.architecture = \"{name}\"\n"
        ));
    }
    let recipe = recipe::load(name);
    if recipe::text(name).is_some()
        || Path::new(name).extension().is_some()
        || Path::new(name).exists()
    {
        return recipe;
    }
    recipe.map_err(|_| {
        let architectures: Vec<&str> = ARCHITECTURES.iter().map(|a| a.name).collect();
        let known = recipe::names().chain(architectures.iter().copied());
        Error::usage(format_args!(
            "--model: no recipe or architecture is called `{name}`{}: there are the recipes {}, the architectures {}, and files of recipes (.toml)",
            suggest::did_you_mean(name, known),
            recipe::names().collect::<Vec<_>>().join(", "),
            architectures.join(", ")
        ))
    })
}

/// Builds the network and loads its weights. A plain state dict takes its structure from
/// `--model` or from the run that it lies in, its classes and its input from the shards:
/// `dataset`, where these are open.
pub fn load(
    args: &Args,
    path: &Path,
    dataset: Option<&Dataset>,
    device: Device,
) -> Result<Network> {
    let file = checkpoint::read(path)?;
    let named = args.model.as_deref().map(network_of).transpose()?;
    let full = file.spec.filter(|_| named.is_none());
    let recipe = match named {
        Some(recipe) => Some(recipe),
        None => run_of(path)?,
    };
    let own = full.is_some();
    let at = |e: Error| e.within(path.display());
    let mut spec = match (full, recipe) {
        (Some(spec), _) => spec,
        (None, Some(recipe)) => {
            let folder = if dataset.is_none() { folder(args, path)? } else { None };
            let opened =
                folder.map(|folder| Dataset::open(&folder, &args.split)).transpose()?;
            match dataset.or(opened.as_ref()) {
                Some(dataset) => spec_by_shards(recipe, dataset)?,
                None => spec_by_weights(args, recipe, &file.tensors).map_err(at)?,
            }
        }
        (None, None) => {
            return Err(Error::usage(format_args!(
                "{} is a plain state dict, which does not say what network it is: give --model RECIPE, such as article",
                path.display()
            )));
        }
    };
    if let Some(names) = &args.classes {
        spec.classes = class_names(names, spec.classes.len())?;
    }
    if let Some(k) = args.top_k.iter().find(|&&k| k as usize > spec.classes.len()) {
        return Err(Error::usage(format_args!(
            "--top-k {k}: there are only {} classes",
            spec.classes.len()
        )));
    }
    let mut model = Model::empty(&spec, device).map_err(at)?;
    let loaded = if own {
        model.load_state_dict(&file.tensors)
    } else {
        model.load_foreign(&file.tensors)
    };
    loaded.map_err(at)?;
    let loss = loss::build(&spec.loss, spec.classes.len(), device).map_err(at)?;
    Ok(Network { model, spec, loss })
}

/// What a plain state dict is for where there are shards: their images and classes.
fn spec_by_shards(recipe: Recipe, dataset: &Dataset) -> Result<Spec> {
    let meta = dataset.set().meta();
    Ok(Spec {
        model: recipe.model,
        input: dataset.image_shape()?,
        classes: meta.classes.clone(),
        transform: meta.pipeline.clone(),
        batch_size: recipe.train.batch_size,
        dataset: meta.dataset.clone(),
        loss: recipe.train.loss,
    })
}

/// What a plain state dict is for where there are none: images as the pipeline makes
/// them, and classes that have numbers for names.
fn spec_by_weights(
    args: &Args,
    recipe: Recipe,
    tensors: &[(String, Tensor)],
) -> Result<Spec> {
    let transform = args.transform.clone().unwrap_or(recipe.transforms.test);
    let rgb = SampleSpec { kind: SampleKind::Image, channels: 3, size: None };
    let form = Pipeline::parse(&transform)?.output(rgb)?;
    let Some((height, width)) = form.size else {
        return Err(Error::usage(format_args!(
            "the pipeline `{transform}` makes images of any size, and nothing else says what the network takes: give one that says it, --transform 'Resize(256) | CenterCrop(224) | ToTensor', or shards with --data DIR"
        )));
    };
    let (channels, classes) =
        Model::sizes_in(&recipe.model, [form.channels, height, width], tensors)?;
    Ok(Spec {
        model: recipe.model,
        input: [channels, height, width],
        classes: (0..classes).map(|class| class.to_string()).collect(),
        transform,
        batch_size: recipe.train.batch_size,
        dataset: String::new(),
        loss: recipe.train.loss,
    })
}

/// `--classes`: a name a line, for each output.
fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).doing("read", path)?;
    let names: Vec<String> =
        text.lines().map(|line| line.trim_end().to_owned()).collect();
    if names.len() != count {
        return Err(Error::failed(format_args!(
            "{} has {} lines, but the network has {count} outputs: one name a line",
            path.display(),
            names.len()
        )));
    }
    Ok(names)
}

/// Checks that the shards are what the network takes, and notes a difference in how they
/// were made.
pub fn check_data(path: &Path, spec: &Spec, dataset: &Dataset) -> Result<()> {
    let meta = dataset.set().meta();
    let fail =
        |text: std::fmt::Arguments| Err(Error::failed(text).within(path.display()));
    let shape = dataset.image_shape()?;
    if spec.input != shape {
        return fail(format_args!(
            "takes images of {:?}, the shards hold {shape:?}",
            spec.input
        ));
    }
    let (own, theirs) = (&spec.classes, &meta.classes);
    if own.len() != theirs.len() {
        return fail(format_args!(
            "knows {} classes, the shards hold {}",
            own.len(),
            theirs.len()
        ));
    }
    if let Some((i, (own, theirs))) =
        own.iter().zip(theirs).enumerate().find(|(_, (a, b))| a != b)
    {
        return fail(format_args!(
            "its class {i} is `{own}`, the shards' is `{theirs}`: another data set"
        ));
    }
    if !Pipeline::parse(&meta.pipeline)?.satisfies(&Pipeline::parse(&spec.transform)?) {
        torchmill::progress::note(format_args!(
            "note: {} was trained for images prepared with `{}`, these were prepared with `{}`",
            path.display(),
            spec.transform,
            meta.pipeline
        ));
    }
    Ok(())
}
