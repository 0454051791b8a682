//! The command line of `evaluate`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, ValueHint};
use torchmill::cli::{Common, Named};
use torchmill::device::Device;
use torchmill::libtorch;
use torchmill::recipe::{ARCHITECTURES, Precision, Tta, names};

use crate::BUILT_WITH;

/// Evaluate saved checkpoints, use them on images, compare runs
///
/// Evaluates a checkpoint on the shards of its run, or classifies images with it.
/// A full checkpoint includes its network; a plain state dict (--weights-only, or a
/// .pt) needs --model.
#[derive(Debug, Parser)]
#[command(version = libtorch::version(BUILT_WITH), after_help = EXAMPLES)]
pub struct Args {
    /// Checkpoints (.safetensors, .pt), run folders (their last checkpoint), image
    /// files, image folders; - reads image paths from standard input
    #[arg(required = true, value_name = "CHECKPOINT|IMAGE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// Folder of shards [default: those of the run]
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Split of the shards
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Recipe or architecture of a state dict
    #[arg(short, long, value_name = "NAME|FILE", value_parser = Named::text(models()), value_hint = ValueHint::FilePath, hide_possible_values = true)]
    pub model: Option<String>,
    /// State dict names to ignore, such as 'fc.*'
    #[arg(long, value_name = "PATTERN")]
    pub except: Vec<String>,
    /// Batch size for the total loss [default: training's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
    /// fp32, bf16, auto; on a GPU fp16, tf32
    #[arg(long, value_name = "P", default_value = "fp32", value_parser = Named::new(Precision::NAMES, Precision::parse), hide_possible_values = true)]
    pub precision: Precision,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_parser = Device::parser(), hide_possible_values = true)]
    pub device: Device,
    /// text, json or csv
    #[arg(short, long, value_enum, default_value_t = Format::Text, hide_possible_values = true, help_heading = "Results")]
    pub format: Format,
    /// Add each class's scores and the confusion matrix
    #[arg(short, long, help_heading = "Results")]
    pub report: bool,
    /// Such as 1,5; on images, classes listed [default: 3]
    #[arg(long, value_name = "K,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..), help_heading = "Results")]
    pub top_k: Vec<u32>,
    /// Write each image's label, prediction, probabilities: CSV, or JSON lines (.jsonl);
    /// - is standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Results")]
    pub predictions: Option<PathBuf>,
    /// Write an HTML page, also with --compare
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub html: Option<PathBuf>,
    /// Draw images with their predictions: DIR/NAME.png
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub samples: Option<PathBuf>,
    /// Export to .onnx, or as a state dict (.pt)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "top_k", "predictions", "html", "samples", "skip_bad", "batch_size", "tta"], help_heading = "Results")]
    pub export: Option<PathBuf>,
    /// Make the .onnx accept bytes and apply ToTensor
    #[arg(long, requires = "export", help_heading = "Results")]
    pub preprocess: bool,
    /// Average over flip, shift, five_crop or ten_crop
    #[arg(long, value_name = "COPIES", value_parser = Named::new(Tta::NAMES, Tta::parse), hide_possible_values = true, help_heading = "Results")]
    pub tta: Option<Tta>,
    /// Image pipeline [default: the checkpoint's]
    #[arg(short, long, value_name = "PIPELINE", help_heading = "Images")]
    pub transform: Option<String>,
    /// State dict's class names, one per line
    #[arg(long, value_name = "FILE", help_heading = "Images")]
    pub classes: Option<PathBuf>,
    /// Report and skip images that cannot be read
    #[arg(long, help_heading = "Images")]
    pub skip_bad: bool,
    /// Print a table of runs: metrics and differing settings
    #[arg(long, conflicts_with_all = ["data", "model", "report", "top_k", "predictions", "samples", "transform", "classes", "skip_bad", "batch_size", "except", "export", "tta"], help_heading = "Comparison")]
    pub compare: bool,
    /// The metric to sort by [default: val or test accuracy]
    #[arg(long, value_name = "TAG", requires = "compare", help_heading = "Comparison")]
    pub sort: Option<String>,
    /// The options that all programs share
    #[command(flatten)]
    pub common: Common,
}

/// The output format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people to read.
    Text,
    /// An array of objects.
    Json,
    /// One row for each checkpoint.
    Csv,
}

/// The names that --model accepts besides files.
fn models() -> impl Iterator<Item = &'static str> {
    names().chain(ARCHITECTURES.iter().map(|architecture| architecture.name))
}

const EXAMPLES: &str = "\
Examples:
  evaluate runs/first --report --tta flip
  evaluate runs/*/checkpoints/best.safetensors --format csv
  evaluate my_module_10.pt --model article --data data/shards/cifar10
  evaluate runs/first photo.jpg other.png
  find photos -name '*.jpg' | evaluate runs/first - --format csv > photos.csv
  evaluate runs/first --html first.html --predictions first.csv
  evaluate runs/first --export first.onnx
  evaluate --compare runs/* --sort 'test loss' --html runs.html";
