//! `--summary`: prints the network layer by layer, without training it.

use std::path::Path;

use tch::Device;
use torchmill::shard::ShardSet;
use torchmill::{Error, Result, cli, recipe};
use torchmill_nn::loader::ShardData;
use torchmill_nn::model::Model;
use torchmill_nn::spec::Spec;
use torchmill_nn::summary;

use crate::args::Args;
use crate::data::{TEST, VAL};

/// The split whose images the network is built for: one that is evaluated, if there is one.
fn evaluated_split(folder: &Path) -> Result<&'static str> {
    let splits = ShardSet::splits(folder)?;
    let evaluated = [TEST, VAL].into_iter().find(|&name| splits.contains(name));
    Ok(evaluated.unwrap_or("train"))
}

/// Prints the table to standard output.
pub fn print(args: &Args) -> Result<()> {
    let recipe = args.override_recipe(&recipe::load(args.recipe())?)?;
    let recipe = torchmill_nn::recipe::resolve(&recipe)?;
    let (input, classes) = match (args.input, args.num_classes, &recipe.data.shards) {
        (Some(input), Some(classes), _) => {
            (input, (0..classes).map(|i| i.to_string()).collect())
        }
        (None, None, Some(folder)) => {
            let data = ShardData::open(folder, evaluated_split(folder)?)?;
            (data.image_shape()?, data.set().meta().classes.clone())
        }
        _ => {
            return Err(Error::usage(
                "--summary needs the images' shape and the classes: give --data DIR, or \
                 --input 3x32x32 --num-classes 10",
            ));
        }
    };
    let spec = Spec {
        model: recipe.model,
        input,
        classes,
        transform: recipe.transforms.test,
        batch_size: recipe.train.batch_size,
        dataset: String::new(),
        loss: recipe.train.loss,
    };
    let model = Model::empty(&spec, Device::Cpu)?;
    cli::print(summary::text(model.summary(), input).as_bytes())
}
