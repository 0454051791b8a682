//! Loads the network of a checkpoint, and finds the data to evaluate it on.

use std::path::{Path, PathBuf};

use tch::{Device, Kind};
use torchmill::recipe::{ARCHITECTURES, Recipe, Tta};
use torchmill::transform::{Pipeline, SampleKind, SampleSpec};
use torchmill::{Error, Result, progress, recipe, suggest};
use torchmill_nn::checkpoint::{self, Checkpoint};
use torchmill_nn::loader::ShardData;
use torchmill_nn::loss::{self, Loss};
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;
use torchmill_nn::state_dict::StateDict;
use torchmill_nn::tta::Copies;
use torchmill_nn::{device, precision};

use crate::classes;
use crate::config::Config;
use crate::run_folder::RunFolder;

/// The device and the dtype of the layers' computation.
#[derive(Debug, Clone, Copy)]
pub struct Arithmetic {
    /// The device.
    pub device: Device,
    /// The dtype.
    pub kind: Kind,
}

impl Arithmetic {
    /// The arithmetic that the command line selects.
    pub fn of(config: &Config) -> Result<Self> {
        precision::prepare(config.precision);
        let device = device::resolve(config.device)?;
        let precision = precision::resolve(config.precision, device)?;
        Ok(Self { device, kind: precision::kind(precision) })
    }
}

/// A network that is ready to use.
pub struct Network {
    /// The network with its weights.
    pub model: Model,
    /// The meaning of its inputs and outputs.
    pub spec: Spec,
    /// The loss function used in training.
    pub loss: Box<dyn Loss>,
}

/// The folder of shards: `--data`, or that of the checkpoint's run.
pub fn data_folder(config: &Config, checkpoint: &Path) -> Result<PathBuf> {
    find_shards(config, checkpoint)?.ok_or_else(|| {
        Error::usage("no shards are given: use --data DIR (prep writes them)")
    })
}

fn find_shards(config: &Config, checkpoint: &Path) -> Result<Option<PathBuf>> {
    if let Some(data) = &config.data {
        return Ok(Some(data.clone()));
    }
    match RunFolder::of(checkpoint)? {
        Some(run) => run.shards(),
        None => Ok(None),
    }
}

/// Builds the network of a checkpoint and loads its weights.
///
/// The structure for a plain state dict comes from `--model` or its run. Its classes and
/// input shape come from the run or the shards: `dataset`, if they are open.
///
/// # Errors
/// If the checkpoint cannot be read, or belongs to another network.
pub fn load(
    config: &Config,
    path: &Path,
    dataset: Option<&ShardData>,
    device: Device,
) -> Result<Network> {
    let checkpoint = checkpoint::read(path)?;
    let in_checkpoint = |e: Error| e.within(path.display());
    let is_full = checkpoint.spec.is_some() && config.model.is_none();
    let mut spec = spec_of(config, path, &checkpoint, dataset)?;
    if let Some(file) = &config.classes {
        spec.classes = classes::read(file, &spec.classes)?;
    }
    let classes = spec.classes.len();
    if let Some(k) = config.top_k.iter().find(|&&k| k > classes) {
        return Err(Error::usage(format_args!(
            "--top-k {k}: the network has {}",
            progress::counted(classes as u64, "class", "classes")
        )));
    }
    let mut model = Model::empty(&spec, device).map_err(in_checkpoint)?;
    let weights = &checkpoint.tensors;
    if is_full && config.except.is_empty() {
        model.load_state_dict(weights).map_err(in_checkpoint)?;
    } else {
        model.load_foreign(weights, &config.except).map_err(in_checkpoint)?;
    }
    let loss = loss::build(&spec.loss, classes, device).map_err(in_checkpoint)?;
    Ok(Network { model, spec, loss })
}

/// The meaning of the network's inputs and outputs.
fn spec_of(
    config: &Config,
    path: &Path,
    checkpoint: &Checkpoint,
    dataset: Option<&ShardData>,
) -> Result<Spec> {
    if let Some(name) = &config.model {
        let recipe = network_of(name)?;
        return plain_spec(config, path, recipe, None, checkpoint, dataset);
    }
    if let Some(spec) = &checkpoint.spec {
        return Ok(spec.clone());
    }
    let Some(run) = RunFolder::of(path)? else {
        return Err(Error::usage(format_args!(
            "{} is a plain state dict, which does not say what network it is: give \
             --model RECIPE, such as article",
            path.display()
        )));
    };
    plain_spec(config, path, run.recipe.clone(), Some(&run), checkpoint, dataset)
}

/// The meaning of the inputs and outputs of a plain state dict's network.
fn plain_spec(
    config: &Config,
    path: &Path,
    recipe: Recipe,
    run: Option<&RunFolder>,
    checkpoint: &Checkpoint,
    dataset: Option<&ShardData>,
) -> Result<Spec> {
    if let Some(dataset) = dataset {
        return spec_by_shards(recipe, run, dataset);
    }
    if let Some(folder) = find_shards(config, path)? {
        let dataset = ShardData::open(&folder, &config.split)?;
        return spec_by_shards(recipe, run, &dataset);
    }
    spec_by_weights(config, recipe, &checkpoint.tensors)
        .map_err(|e| e.within(path.display()))
}

/// The spec of a plain state dict evaluated on shards. The input shape is the shards'.
/// The classes and the pipeline are those of the run, or else of the shards.
fn spec_by_shards(
    recipe: Recipe,
    run: Option<&RunFolder>,
    dataset: &ShardData,
) -> Result<Spec> {
    let meta = dataset.set().meta();
    let own_classes = run.and_then(RunFolder::classes).map(<[String]>::to_vec);
    let transform = match run {
        Some(run) => run.recipe.transforms.test.clone(),
        None => meta.pipeline.clone(),
    };
    Ok(Spec {
        model: recipe.model,
        input: dataset.image_shape()?,
        classes: own_classes.unwrap_or_else(|| meta.classes.clone()),
        transform,
        batch_size: recipe.train.batch_size,
        dataset: meta.dataset.clone(),
        loss: recipe.train.loss,
    })
}

/// The spec of a plain state dict without shards. The pipeline determines the input
/// shape. The class names are numbers.
fn spec_by_weights(config: &Config, recipe: Recipe, weights: &StateDict) -> Result<Spec> {
    let transform = config.transform.clone().unwrap_or(recipe.transforms.test);
    let rgb = SampleSpec { kind: SampleKind::Image, channels: 3, size: None };
    let form = Pipeline::parse(&transform)?.output(rgb)?;
    let Some((height, width)) = form.size else {
        return Err(Error::usage(format_args!(
            "the pipeline `{transform}` makes images of any size, and nothing else says \
             what the network takes: give one that says it, --transform \
             'Resize(256) | CenterCrop(224) | ToTensor', or shards with --data DIR"
        )));
    };
    let (channels, classes) =
        Model::sizes_in(&recipe.model, [form.channels, height, width], weights)?;
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

/// Resolves `--model`, which names a recipe or an architecture.
fn network_of(name: &str) -> Result<Recipe> {
    // `article` is both. The recipe has more information.
    let is_recipe = recipe::text(name).is_some();
    if !is_recipe && ARCHITECTURES.iter().any(|a| a.name == name) {
        return Recipe::parse(&format!(
            "name = \"{name}\"\nmodel.architecture = \"{name}\"\n"
        ));
    }
    let is_file = Path::new(name).extension().is_some() || Path::new(name).exists();
    let recipe = recipe::load(name);
    if is_recipe || is_file || recipe.is_ok() {
        return recipe;
    }
    let architectures: Vec<&str> = ARCHITECTURES.iter().map(|a| a.name).collect();
    let known = recipe::names().chain(architectures.iter().copied());
    Err(Error::usage(format_args!(
        "--model: no recipe or architecture is called `{name}`{}: there are the recipes \
         {}, the architectures {}, and files of recipes (.toml)",
        suggest::did_you_mean(name, known),
        recipe::names().collect::<Vec<_>>().join(", "),
        architectures.join(", ")
    )))
}

/// The test-time augmentation of `--tta` for images of shape `images`.
///
/// # Errors
/// If the images are too small.
pub fn copies(
    tta: Option<Tta>,
    spec: &Spec,
    images: [usize; 3],
) -> Result<Option<Copies>> {
    match tta {
        Some(tta) => {
            let copies = Copies::new(tta, spec.input, images);
            copies.map(Some).map_err(|e| e.within("--tta"))
        }
        None => Ok(None),
    }
}

/// Checks that the network fits the shards.
///
/// Differences that may be intended are only noted: images that were prepared
/// differently, or that the run did not use.
///
/// # Errors
/// If the images' shape or the classes differ.
pub fn check_data(
    path: &Path,
    spec: &Spec,
    dataset: &ShardData,
    tta: Option<Tta>,
) -> Result<()> {
    let meta = dataset.set().meta();
    let shape = dataset.image_shape()?;
    // The images may be larger if they are cropped.
    let is_cropped = tta.is_some_and(Tta::crops) && spec.input[0] == shape[0];
    if spec.input != shape && !is_cropped {
        return Err(Error::failed(format_args!(
            "{}: takes images of {:?}, but the shards have {shape:?}",
            path.display(),
            spec.input
        )));
    }
    check_classes(&spec.classes, &meta.classes).map_err(|e| e.within(path.display()))?;
    let of_shards = Pipeline::parse(&meta.pipeline)?;
    if !of_shards.satisfies(&Pipeline::parse(&spec.transform)?) {
        progress::note(format_args!(
            "note: {} was trained for images prepared with `{}`, these were prepared \
             with `{}`",
            path.display(),
            spec.transform,
            meta.pipeline
        ));
    }
    // A checkpoint can be evaluated even if its run cannot be read.
    let run = RunFolder::of(path).ok().flatten();
    if run.is_some_and(|run| run.used_other_images(dataset)) {
        progress::note(format_args!(
            "note: these are not the {} images that the run of {} used: the shards were \
             prepared again, or are others",
            meta.split,
            path.display()
        ));
    }
    Ok(())
}

fn check_classes(own: &[String], theirs: &[String]) -> Result<()> {
    if own.len() != theirs.len() {
        return Err(Error::failed(format_args!(
            "has {} classes, but the shards have {}",
            own.len(),
            theirs.len()
        )));
    }
    for (i, (own, theirs)) in own.iter().zip(theirs).enumerate() {
        if own != theirs {
            return Err(Error::failed(format_args!(
                "its class {i} is `{own}`, the shards' is `{theirs}`: another data set"
            )));
        }
    }
    Ok(())
}
