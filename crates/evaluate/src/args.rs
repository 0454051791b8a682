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
/// A checkpoint is evaluated on the shards that its run used; with images, it says what
/// they are. A full checkpoint knows its network; a plain state dict
/// (--weights-only, or a .pt) needs --model.
#[derive(Debug, Parser)]
#[command(version = libtorch::version(BUILT_WITH), after_help = EXAMPLES)]
pub struct Args {
    /// Checkpoints (.safetensors, .pt), folders of runs (their last checkpoint), image
    /// files, folders of images; - reads images' paths from standard input
    #[arg(required = true, value_name = "CHECKPOINT|IMAGE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// Folder of shards [default: the checkpoint's run's]
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Which split
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Recipe or architecture that a state dict belongs to
    #[arg(short, long, value_name = "NAME|FILE", value_parser = Named::text(models()), value_hint = ValueHint::FilePath, hide_possible_values = true)]
    pub model: Option<String>,
    /// Leave out a state dict's names, such as 'fc.*'
    #[arg(long, value_name = "PATTERN")]
    pub except: Vec<String>,
    /// The total loss's batches [default: the training's]
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
    /// Also each class's scores and the confusion matrix
    #[arg(short, long, help_heading = "Results")]
    pub report: bool,
    /// Such as 1,5; for images, classes named [default: 3]
    #[arg(long, value_name = "K,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..), help_heading = "Results")]
    pub top_k: Vec<u32>,
    /// Write each image's label, prediction, probabilities: CSV, or JSON lines (.jsonl);
    /// - is standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Results")]
    pub predictions: Option<PathBuf>,
    /// Write a page; with --compare, of the runs
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub html: Option<PathBuf>,
    /// Draw images with their predictions: DIR/NAME.png
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub samples: Option<PathBuf>,
    /// Write the network: .onnx, or a state dict, .pt
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "top_k", "predictions", "html", "samples", "skip_bad", "batch_size", "tta"], help_heading = "Results")]
    pub export: Option<PathBuf>,
    /// The .onnx takes bytes, and applies ToTensor itself
    #[arg(long, requires = "export", help_heading = "Results")]
    pub preprocess: bool,
    /// Average copies: flip, shift, five_crop or ten_crop
    #[arg(long, value_name = "COPIES", value_parser = Named::new(Tta::NAMES, Tta::parse), hide_possible_values = true, help_heading = "Results")]
    pub tta: Option<Tta>,
    /// Of the images [default: the checkpoint's own]
    #[arg(short, long, value_name = "PIPELINE", help_heading = "Images")]
    pub transform: Option<String>,
    /// A state dict's classes, a name on each line
    #[arg(long, value_name = "FILE", help_heading = "Images")]
    pub classes: Option<PathBuf>,
    /// Name images that cannot be read, and go on
    #[arg(long, help_heading = "Images")]
    pub skip_bad: bool,
    /// Print a table of runs: metrics, and where settings differ
    #[arg(long, conflicts_with_all = ["data", "model", "report", "top_k", "predictions", "samples", "transform", "classes", "skip_bad", "batch_size", "except", "export", "tta"], help_heading = "Comparison")]
    pub compare: bool,
    /// The metric to sort by [default: val or test accuracy]
    #[arg(long, value_name = "TAG", requires = "compare", help_heading = "Comparison")]
    pub sort: Option<String>,
    /// What every program has
    #[command(flatten)]
    pub common: Common,
}

/// How the results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One array of objects.
    Json,
    /// One row for each checkpoint.
    Csv,
}

/// The names that --model takes besides files.
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
