//! The command line of `train`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueHint};
use torchmill::Result;
use torchmill::cli::{Common, Named};
use torchmill::device::Device;
use torchmill::recipe::{
    ARCHITECTURES, Model, Precision, Recipe, Train, Validation, names,
};
use torchmill::{libtorch, pretrained, schedule};

use crate::BUILT_WITH;

/// Train an image classifier from shards and a recipe
///
/// Writes a run folder: config.toml (the resolved recipe), metrics.csv, run.jsonl
/// (its starts and ends) and a checkpoint per epoch. Prints the last one's path.
#[derive(Debug, Parser)]
#[command(version = libtorch::version(BUILT_WITH), after_help = EXAMPLES)]
pub struct Args {
    /// Recipe, or a run's config.toml [default: article]
    #[arg(short, long, alias = "config", value_name = "NAME|FILE", value_parser = Named::text(names()), value_hint = ValueHint::FilePath, hide_possible_values = true)]
    pub recipe: Option<String>,
    /// Folder of shards that prep wrote
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The run's folder [default: runs/RECIPE-DATASET]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Resume from the last checkpoint, or from this one
    #[arg(long, value_name = "CHECKPOINT", num_args = 0..=1, default_missing_value = "last")]
    pub resume: Option<PathBuf>,
    /// Start from weights: a file, resnet18, or none
    #[arg(long, value_name = "FILE|NAME", help_heading = "Network")]
    pub init: Option<PathBuf>,
    /// Names not to load from --init, like 'fc.*'
    #[arg(long, value_name = "PATTERN", help_heading = "Network")]
    pub init_except: Vec<String>,
    /// Names not to train, such as 'layer1.*'
    #[arg(long, value_name = "PATTERN", help_heading = "Network")]
    pub freeze: Vec<String>,
    /// Use built-in layers, such as resnet18
    #[arg(long, value_name = "NAME", value_parser = Named::text(ARCHITECTURES.map(|a| a.name)), hide_possible_values = true, help_heading = "Network")]
    pub architecture: Option<String>,
    /// Print layers, shapes, parameters, multiply-adds
    #[arg(long, help_heading = "Network")]
    pub summary: bool,
    /// For --summary without shards: the images' shape
    #[arg(long, value_name = "CxHxW", requires = "summary", value_parser = shape, help_heading = "Network")]
    pub input: Option<[usize; 3]>,
    /// For --summary without shards: classes
    #[arg(long, value_name = "N", requires = "input", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Network")]
    pub num_classes: Option<u32>,
    /// Find a learning rate; plot to FILE (html, png)
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["resume", "run", "summary", "epochs", "steps", "lr", "max_time"])]
    pub find_lr: Option<Option<PathBuf>>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_parser = Device::parser(), hide_possible_values = true, help_heading = "Machine")]
    pub device: Device,
    /// Processor threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1024), help_heading = "Machine")]
    pub threads: Option<i32>,
    /// Save and stop after this time, such as 90s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Machine")]
    pub max_time: Option<Duration>,
    /// How long to wait for other processes
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = timeout, help_heading = "Machine")]
    pub timeout: Duration,
    /// Passes over the training images
    #[arg(short, long, value_name = "N", help_heading = RECIPE)]
    pub epochs: Option<u64>,
    /// Optimizer steps in total, instead of epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs", help_heading = RECIPE)]
    pub steps: Option<u64>,
    /// Images per step and process
    #[arg(short, long, value_name = "N", help_heading = RECIPE)]
    pub batch_size: Option<usize>,
    /// The learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = RECIPE)]
    pub lr: Option<f64>,
    /// Seed of weights, order and transforms
    #[arg(long, value_name = "N", help_heading = RECIPE)]
    pub seed: Option<u64>,
    /// fp32, bf16, auto; on a GPU also fp16, tf32
    #[arg(long, value_name = "P", value_parser = Named::new(Precision::NAMES, Precision::parse), hide_possible_values = true, help_heading = RECIPE)]
    pub precision: Option<Precision>,
    /// Validate on this share; test only at the end
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = RECIPE)]
    pub val_fraction: Option<f64>,
    /// Evaluate after every N epochs
    #[arg(long, value_name = "N", help_heading = RECIPE)]
    pub eval_every: Option<u64>,
    /// Stop after N evaluations without improvement
    #[arg(long, value_name = "N", help_heading = RECIPE)]
    pub patience: Option<u64>,
    /// Only N batches per epoch and evaluation
    #[arg(long, value_name = "N", help_heading = RECIPE)]
    pub limit_batches: Option<usize>,
    /// Overfit the same N batches, as a sanity check
    #[arg(long, value_name = "N", help_heading = RECIPE)]
    pub overfit_batches: Option<usize>,
    /// Any other value: train.optimizer.momentum=0.9
    #[arg(long, value_name = "KEY=VALUE", help_heading = RECIPE)]
    pub set: Vec<String>,
    /// Keep only the last N epochs and the best
    #[arg(long, value_name = "N", help_heading = RECIPE)]
    pub keep: Option<u64>,
    /// Also save every N steps
    #[arg(long, value_name = "STEPS", help_heading = RECIPE)]
    pub save_every: Option<u64>,
    /// Save plain state dicts, without the structure
    #[arg(long, help_heading = RECIPE)]
    pub weights_only: bool,
    /// Print a built-in recipe as a starting point
    #[arg(long, value_name = "NAME", value_parser = Named::text(names()), hide_possible_values = true, exclusive = true)]
    pub print_recipe: Option<String>,
    /// Not accepted. It only gives an error that says where the shards go
    #[arg(hide = true)]
    pub stray: Option<PathBuf>,
    /// The options that all programs share
    #[command(flatten)]
    pub common: Common,
}

const RECIPE: &str = "Instead of the recipe's";

const EXAMPLES: &str = "\
Examples:
  train --recipe article --data data/shards/cifar10 --run runs/first
  train --run runs/first --resume --epochs 20
  train --print-recipe article > mine.toml
  for i in 1 2 3; do train -d data/shards/cifar10 --seed $i --run runs/$i; done";

/// `30s`.
fn timeout(text: &str) -> std::result::Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    if timeout.is_zero() {
        return Err("give a time above 0, such as 30s".to_owned());
    }
    Ok(timeout)
}

/// `3x32x32`.
fn shape(text: &str) -> std::result::Result<[usize; 3], String> {
    let numbers: std::result::Result<Vec<usize>, _> =
        text.split('x').map(str::parse).collect();
    let shape = numbers.ok().and_then(|n| <[usize; 3]>::try_from(n).ok());
    shape
        .filter(|s| s.iter().all(|n| (1..=1 << 16).contains(n)))
        .ok_or_else(|| "give channels, height and width: 3x32x32".to_owned())
}

impl Args {
    /// The name or path of the recipe.
    pub fn recipe(&self) -> &str {
        self.recipe.as_deref().unwrap_or("article")
    }

    /// Applies the command line's options to the recipe. Checks what can be checked
    /// without libtorch.
    pub fn override_recipe(&self, recipe: &Recipe) -> Result<Recipe> {
        let mut recipe = recipe.clone();
        // This comes first, so that --set can change the architecture's options.
        if let Some(name) = &self.architecture
            && recipe.model.architecture.as_ref() != Some(name)
        {
            recipe.model = Model { architecture: Some(name.clone()), ..Model::default() };
        }
        let mut recipe = recipe.with(&self.set)?;
        self.override_train(&mut recipe.train)?;
        self.override_model(&mut recipe.model)?;
        if let Some(data) = &self.data {
            recipe.data.shards = Some(data.clone());
        }
        if let Some(fraction) = self.val_fraction {
            recipe.data.validation = Some(Validation::Fraction(fraction));
        }
        let checkpoints = &mut recipe.checkpoints;
        checkpoints.keep = self.keep.or(checkpoints.keep);
        checkpoints.save_every = self.save_every.or(checkpoints.save_every);
        checkpoints.weights_only |= self.weights_only;
        recipe.check()?;
        Ok(recipe)
    }

    fn override_train(&self, train: &mut Train) -> Result<()> {
        if self.epochs.is_some() {
            train.steps = None;
        }
        train.epochs = self.epochs.unwrap_or(train.epochs);
        train.steps = self.steps.or(train.steps);
        train.batch_size = self.batch_size.unwrap_or(train.batch_size);
        train.seed = self.seed.unwrap_or(train.seed);
        train.precision = self.precision.unwrap_or(train.precision);
        train.eval_every = self.eval_every.unwrap_or(train.eval_every);
        train.limit_train_batches = self.limit_batches.or(train.limit_train_batches);
        train.limit_eval_batches = self.limit_batches.or(train.limit_eval_batches);
        train.overfit_batches = self.overfit_batches.or(train.overfit_batches);
        if let Some(lr) = self.lr {
            train.optimizer.set("lr", lr);
            // OneCycleLR's own rate overrides the optimizer's.
            if let Some(schedule) = &mut train.schedule {
                schedule::set_lr(schedule, lr)?;
            }
        }
        if let Some(patience) = self.patience {
            train.early_stopping.get_or_insert_default().patience = patience;
        }
        Ok(())
    }

    fn override_model(&self, model: &mut Model) -> Result<()> {
        if let Some(init) = &self.init {
            model.init = Some(last_checkpoint_in(init));
            model.init_except = Vec::new();
        }
        for name in &self.init_except {
            if !model.init_except.contains(name) {
                model.init_except.push(name.clone());
            }
        }
        if !self.freeze.is_empty() {
            model.freeze.clone_from(&self.freeze);
        }
        // The name of published weights is resolved to their file.
        if let Some(init) = &model.init {
            model.init = pretrained::resolve(init, model.architecture.as_deref())?;
        }
        Ok(())
    }
}

/// A run's folder stands for its last checkpoint, as in evaluate. A file stands for
/// itself.
fn last_checkpoint_in(init: &Path) -> PathBuf {
    if init.is_dir() {
        for last in ["checkpoints/last.safetensors", "last.safetensors"] {
            let path = init.join(last);
            if path.exists() {
                return path;
            }
        }
    }
    init.to_path_buf()
}
