//! The network that a checkpoint holds, and the data to evaluate it on.

use std::path::{Path, PathBuf};

use tch::Device;
use torchmill::{Error, Result, recipe};
use torchmill_nn::checkpoint;
use torchmill_nn::generator::Generator;
use torchmill_nn::loader::Dataset;
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;

use crate::args::Args;

/// The shards to evaluate on: `--data`, or those of the run that the checkpoint lies in.
pub fn data_folder(args: &Args, checkpoint: &Path) -> Result<PathBuf> {
    if let Some(data) = &args.data {
        return Ok(data.clone());
    }
    let config = checkpoint.parent().and_then(Path::parent).map(|run| run.join("config.toml"));
    let config = config.filter(|c| c.exists());
    let shards = match config {
        Some(config) => recipe::load(&config.to_string_lossy())?.data.shards,
        None => None,
    };
    shards.ok_or_else(|| Error::usage("where are the shards? give --data DIR (prep writes them)"))
}

/// Builds the network and loads its weights; checks that the data is what it takes.
pub fn load(args: &Args, path: &Path, dataset: &Dataset, device: Device) -> Result<(Model, Spec)> {
    let file = checkpoint::read(path)?;
    let meta = dataset.set().meta();
    let spec = match (file.spec, &args.model) {
        (Some(spec), None) => spec,
        (_, Some(name)) => {
            let recipe = recipe::load(name)?;
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
    // Untrained weights are drawn only to be replaced: load_state_dict asks for every one of them.
    let mut model = Model::new(&spec, &mut Generator::new(0), device).map_err(at)?;
    model.load_state_dict(&file.tensors).map_err(at)?;
    if spec.input != dataset.image_shape()? {
        return Err(at(Error::failed(format_args!(
            "takes images of {:?}, the shards hold {:?}",
            spec.input,
            dataset.image_shape()?
        ))));
    }
    if spec.classes.len() != meta.classes.len() {
        return Err(at(Error::failed(format_args!(
            "knows {} classes, the shards hold {}",
            spec.classes.len(),
            meta.classes.len()
        ))));
    }
    if spec.classes != meta.classes {
        return Err(at(Error::failed(format_args!(
            "its classes are {}, the shards' are {}: another data set",
            spec.classes.join(", "),
            meta.classes.join(", ")
        ))));
    }
    if spec.transform != meta.pipeline {
        torchmill::progress::note(format_args!(
            "note: {} was trained for images prepared with `{}`, these were prepared with `{}`",
            path.display(),
            spec.transform,
            meta.pipeline
        ));
    }
    Ok((model, spec))
}
