//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum, ValueHint};
use torchmill::cli::{Common, Named};
use torchmill::dataset::{ColumnNames, Extensions, SplitDirs};
use torchmill::recipe;
use torchmill::shard::DType;

use crate::format::{self, TarImage};
use crate::storage::Store;

const EXAMPLES: &str = "Examples:
  prep data/raw/cifar10 -o data/shards/cifar10
  prep pets --test-fraction 0.2 --transform 'Resize((64,64)) | ToTensor' -o out
  prep pets --recipe article --preview sheet.png
  prep data/raw/cifar10 --split test --format npy -o - | python your_script.py
  find pets -name '*.jpg' | prep - --test-fraction 0.1 -o shards";

/// Turn raw images into tensor shards, or stream them to another program
#[derive(Debug, Clone, Parser)]
#[command(name = "prep", version, after_help = EXAMPLES)]
pub struct Args {
    /// Folders (fetch-data's, CIFAR, IDX, a folder per class), .tar (WebDataset), .parquet,
    /// lists (.csv, .tsv, .jsonl) of path, label, split; - is stdin. Several are joined
    #[arg(value_name = "INPUT", required_unless_present = "inspect")]
    pub inputs: Vec<PathBuf>,
    /// Write into this folder, or to standard output (-)
    #[arg(short, long, value_name = "DIR", required_unless_present_any = ["inspect", "stats", "preview", "show"])]
    pub out: Option<PathBuf>,
    /// Print mean and deviation, class counts, image sizes
    #[arg(long, conflicts_with_all = ["out", "inspect"])]
    pub stats: bool,
    /// Draw images of each class after the pipeline, as PNG
    #[arg(long, value_name = "FILE.png", conflicts_with = "inspect")]
    pub preview: Option<PathBuf>,
    /// Show image N, from 0, and its label (PNG: --preview)
    #[arg(long, value_name = "N", conflicts_with_all = ["out", "inspect", "stats"])]
    pub show: Option<usize>,
    /// Check shard files (or -) and print what they hold
    #[arg(long, value_name = "FILE", conflicts_with_all = ["inputs", "out"], num_args = 1..)]
    pub inspect: Vec<PathBuf>,

    /// With --inspect and --stats: as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub select: Select,
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub common: Common,
}

/// Which images.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Which images")]
pub struct Select {
    /// Only these splits: train,test,val [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub split: Vec<String>,
    /// Without a test split: this share becomes one
    #[arg(long, value_name = "F", value_parser = fraction)]
    pub test_fraction: Option<f64>,
    /// Without a test split: images listed here become one
    #[arg(long, value_name = "FILE", conflicts_with = "test_fraction")]
    pub test_list: Option<PathBuf>,
    /// The splits' folders: train=DIR,test=DIR, or none
    #[arg(long, value_name = "DIRS")]
    pub split_dirs: Option<SplitDirs>,
    /// Only files with these extensions: jpg,png
    #[arg(long, value_name = "LIST")]
    pub extensions: Option<Extensions>,
    /// Columns of tables: image=NAME,label=NAME
    #[arg(long, value_name = "NAMES")]
    pub columns: Option<ColumnNames>,
    /// Only these classes, labelled in this order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub classes: Vec<String>,
    /// At most N images per split, evenly by class
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Leave out and list images that cannot be read
    #[arg(long, value_name = "FILE")]
    pub skip_bad: Option<PathBuf>,
    /// Treat images with decoder warnings as bad
    #[arg(long)]
    pub strict: bool,
    /// Equal images: warn, error or drop
    #[arg(long, value_name = "ACTION", value_enum, default_value_t = Duplicates::Warn, hide_possible_values = true)]
    pub duplicates: Duplicates,
    /// Seed for everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// What is done to them.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What is done to them")]
pub struct PipelineArgs {
    /// A recipe's transforms: built-in, or a TOML file
    #[arg(long, value_name = "NAME|FILE", value_parser = Named::text(recipe::names()), value_hint = ValueHint::FilePath, hide_possible_values = true)]
    pub recipe: Option<String>,
    /// For every split, joined by | [default: ToTensor]
    #[arg(long, value_name = "TEXT", conflicts_with = "recipe")]
    pub transform: Option<String>,
    /// For the train split
    #[arg(long, value_name = "TEXT")]
    pub train_transform: Option<String>,
    /// For the other splits
    #[arg(long, value_name = "TEXT")]
    pub test_transform: Option<String>,
    /// Bake N random copies of each image
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub augment: Option<u64>,
    /// float32, float16, bfloat16 [default: uint8]
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Elements::Uint8, hide_possible_values = true, hide_default_value = true)]
    pub dtype: Elements,
}

/// What is written.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What is written")]
pub struct Output {
    /// shard (default), safetensors, npy, tar, csv, jsonl
    #[arg(long, value_parser = PossibleValuesParser::new(format::names()), default_value = "shard", hide_possible_values = true, hide_default_value = true)]
    pub format: String,
    /// Maximum bytes of pixels in a file
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = size)]
    pub shard_size: u64,
    /// Store as: auto, encoded or pixels
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Store::Auto, hide_possible_values = true)]
    pub store: Store,
    /// Write only part I of N of the files (1/N to N/N)
    #[arg(long, value_name = "I/N", value_parser = part)]
    pub part: Option<Part>,
    /// Images in a tar: png, jpg, npy
    #[arg(long, value_name = "KIND", value_enum, default_value_t = TarImage::Png, hide_possible_values = true)]
    pub tar_image: TarImage,
}

/// `--duplicates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "a doc comment would be a second help text")]
pub enum Duplicates {
    // Report how many there are, with examples
    Warn,
    // Refuse them
    Error,
    // Keep one copy, the test split's if there is one
    Drop,
}

/// `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "PyTorch's names")]
pub enum Elements {
    Uint8,
    Float32,
    Float16,
    Bfloat16,
}

impl Elements {
    /// The element type in the shard format.
    pub fn dtype(self) -> DType {
        match self {
            Self::Uint8 => DType::Uint8,
            Self::Float32 => DType::Float32,
            Self::Float16 => DType::Float16,
            Self::Bfloat16 => DType::BFloat16,
        }
    }
}

/// `--part`: one of several equal shares of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The part's number, from 1.
    pub index: usize,
    /// The number of parts.
    pub parts: usize,
}

impl Part {
    /// This part's share of `files` files.
    pub fn share(self, files: usize) -> std::ops::Range<usize> {
        (self.index - 1) * files / self.parts..self.index * files / self.parts
    }
}

fn part(text: &str) -> Result<Part, String> {
    let numbers =
        text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((index, parts)) if (1..=parts).contains(&index) && parts <= 100_000 => {
            Ok(Part { index, parts })
        }
        _ => Err("expected I/N with I from 1 to N, such as 2/8".to_owned()),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(f) if (0.0..1.0).contains(&f) => Ok(f),
        _ => {
            Err("expected a number from 0 up to but not including 1, such as 0.2"
                .to_owned())
        }
    }
}

/// A size in bytes: `1000000`, `32MiB`, `1GB`.
fn size(text: &str) -> Result<u64, String> {
    let digits =
        text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return Err("expected a size such as 32MiB, 500MB or 1GiB".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(n) if n * factor >= 1.0 && n * factor < 9e18 => Ok((n * factor) as u64),
        _ => Err("expected a size such as 32MiB, 500MB or 1GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn parts_make_up_the_whole() {
        for (files, parts) in [(5, 2), (5, 5), (3, 7), (1, 1)] {
            let all: Vec<_> = (1..=parts)
                .flat_map(|index| Part { index, parts }.share(files))
                .collect();
            assert_eq!(all, (0..files).collect::<Vec<_>>());
        }
        assert_eq!(part("2/3"), Ok(Part { index: 2, parts: 3 }));
        assert!(
            part("0/3").is_err()
                && part("4/3").is_err()
                && part("3").is_err()
                && part("1/0").is_err()
        );
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("32MiB"), Ok(32 << 20));
        assert_eq!(size("1.5k"), Ok(1536));
        assert_eq!(size("1GB"), Ok(1_000_000_000));
        assert!(
            size("0").is_err()
                && size("1 parsec").is_err()
                && size("").is_err()
                && size("-1").is_err()
        );
    }
}
