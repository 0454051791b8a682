//! The command line of `train`.

use std::path::PathBuf;

use clap::Parser;
use torchmill::cli::Common;
use torchmill::recipe::{Model, Precision, Recipe};
use torchmill::{Error, Result};
use torchmill_nn::{device, precision};

/// Train an image classifier from shards and a recipe
///
/// Writes a run folder: config.toml (the recipe as it was resolved), metrics.csv, and a checkpoint after each
/// epoch. Prints the last checkpoint's path.
#[derive(Debug, Parser)]
#[command(version = device::version(), after_help = EXAMPLES)]
pub struct Args {
    /// Built-in recipe or TOML file: what to train and how; a run's config.toml repeats that run
    #[arg(short, long, alias = "config", value_name = "NAME|FILE", default_value = "article")]
    pub recipe: String,
    /// Folder of shards that prep wrote, with a train and a test split
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The run's folder [default: runs/RECIPE-DATASET]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Go on from the run's last checkpoint, or from this one
    #[arg(long, value_name = "CHECKPOINT", num_args = 0..=1, default_missing_value = "last")]
    pub resume: Option<PathBuf>,
    /// Start from these weights (safetensors, or a .pt state dict); a head for other classes starts anew
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Network")]
    pub init: Option<PathBuf>,
    /// Names not taken from --init, such as 'fc.*'; may be given several times, as may --freeze
    #[arg(long, value_name = "PATTERN", conflicts_with = "resume", help_heading = "Network")]
    pub init_except: Vec<String>,
    /// Names that training does not change, such as 'layer[12].*'
    #[arg(long, value_name = "PATTERN", conflicts_with = "resume", help_heading = "Network")]
    pub freeze: Vec<String>,
    /// Instead of the recipe's layers: resnet18 or another (docs/models.md)
    #[arg(long, value_name = "NAME", conflicts_with = "resume", help_heading = "Network")]
    pub architecture: Option<String>,
    /// Print the network's layers, shapes, parameters and multiply-adds, and train nothing
    #[arg(long, help_heading = "Network")]
    pub summary: bool,
    /// For --summary without shards: the images' shape
    #[arg(long, value_name = "CxHxW", requires = "summary", value_parser = shape, help_heading = "Network")]
    pub input: Option<[usize; 3]>,
    /// For --summary without shards
    #[arg(long, value_name = "N", requires = "input", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Network")]
    pub num_classes: Option<u32>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    pub device: String,
    /// Processor threads [default: one a core]; results depend on it in the last bits
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1024), help_heading = "Machine")]
    pub threads: Option<i32>,
    /// Instead of the recipe's: how many epochs
    #[arg(short, long, value_name = "N", help_heading = "Recipe")]
    pub epochs: Option<u64>,
    /// Instead of the recipe's: images a step
    #[arg(short, long, value_name = "N", help_heading = "Recipe")]
    pub batch_size: Option<usize>,
    /// Instead of the recipe's: the learning rate
    #[arg(long, value_name = "X", help_heading = "Recipe")]
    pub lr: Option<f64>,
    /// Instead of the recipe's: the seed of weights, order and transforms
    #[arg(long, value_name = "N", help_heading = "Recipe")]
    pub seed: Option<u64>,
    /// Instead of the recipe's: fp32, bf16, auto, or on a GPU fp16 or tf32
    #[arg(long, value_name = "P", value_parser = precision::parse, help_heading = "Recipe")]
    pub precision: Option<Precision>,
    /// Also save every so many steps, so that a killed run loses little
    #[arg(long, value_name = "STEPS", help_heading = "Checkpoints")]
    pub save_every: Option<u64>,
    /// Save plain state dicts, without the network's structure
    #[arg(long, help_heading = "Checkpoints")]
    pub weights_only: bool,
    /// Print a built-in recipe, to start your own from
    #[arg(long, value_name = "NAME", exclusive = true)]
    pub print_recipe: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
Examples:
  train --recipe article --data data/shards/cifar10 --run runs/first
  train --run runs/first --resume --epochs 20
  train --print-recipe article > mine.toml
  for lr in 0.1 0.01; do train --data data/shards/cifar10 --lr $lr --run runs/lr-$lr; done";

/// `3x32x32`.
fn shape(text: &str) -> std::result::Result<[usize; 3], String> {
    let numbers: std::result::Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    let shape = numbers.ok().and_then(|n| <[usize; 3]>::try_from(n).ok());
    shape
        .filter(|s| s.iter().all(|n| (1..=1 << 16).contains(n)))
        .ok_or_else(|| "give channels, height and width: 3x32x32".to_owned())
}

impl Args {
    /// Puts the options that were given in place of the recipe's values, and checks the result.
    pub fn override_recipe(&self, recipe: &mut Recipe) -> Result<()> {
        let train = &mut recipe.train;
        train.epochs = self.epochs.unwrap_or(train.epochs);
        train.batch_size = self.batch_size.unwrap_or(train.batch_size);
        train.seed = self.seed.unwrap_or(train.seed);
        train.precision = self.precision.unwrap_or(train.precision);
        if let Some(lr) = self.lr {
            train.optimizer.set_lr(lr);
        }
        let model = &mut recipe.model;
        if let Some(name) = &self.architecture {
            *model = Model { architecture: Some(name.clone()), ..Model::default() };
        }
        if let Some(init) = &self.init {
            (model.init, model.init_except) = (Some(init.clone()), Vec::new());
        }
        model.init_except.extend(self.init_except.iter().cloned());
        if !self.freeze.is_empty() {
            model.freeze.clone_from(&self.freeze);
        }
        model.check()?;
        if let Some(data) = &self.data {
            recipe.data.shards = Some(data.clone());
        }
        if self.save_every == Some(0) {
            return Err(Error::usage("--save-every must be at least 1"));
        }
        recipe.train.check()
    }
}
