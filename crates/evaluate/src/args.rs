//! The command line of `evaluate`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use torchmill::cli::Common;
use torchmill::recipe::Precision;
use torchmill_nn::{device, precision};

/// Evaluate saved checkpoints on shards
///
/// A full checkpoint says what network it is; a plain state dict (--weights-only, or a .pt that torch.save
/// wrote) needs --model. Prints total and mean loss and accuracy.
#[derive(Debug, Parser)]
#[command(version = device::version(), after_help = EXAMPLES)]
pub struct Args {
    /// Checkpoints: .safetensors, or .pt state dicts
    #[arg(required = true, value_name = "CHECKPOINT")]
    pub checkpoints: Vec<PathBuf>,
    /// Folder of shards [default: the one that the checkpoint's run used]
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Which split
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Recipe whose network a plain state dict belongs to
    #[arg(short, long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// How the results are written
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Also write each image's label, prediction and probabilities to this CSV file (- for standard output)
    #[arg(short, long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// The batch size that the total loss is summed by [default: the one it was trained with]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
    /// fp32, bf16 or auto
    #[arg(long, value_name = "P", default_value = "fp32", value_parser = precision::parse)]
    pub precision: Precision,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
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
    /// One row a checkpoint.
    Csv,
}

const EXAMPLES: &str = "\
Examples:
  evaluate runs/first/checkpoints/epoch-0010.safetensors
  evaluate runs/*/checkpoints/best.safetensors --format csv
  evaluate my_module_10.pt --model article --data data/shards/cifar10
  evaluate runs/first/checkpoints/last.safetensors --predictions - | head";
