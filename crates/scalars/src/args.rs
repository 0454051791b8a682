//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::csv::select::{Rename, Select};
use crate::csv::table::Options;
use crate::event::encode::Encoding;

const ABOUT: &str = "\
Turn CSV metrics into TensorBoard event files, and back

Reads tidy tables (wall_time,step,epoch,tag,value) and wide ones (step,train_loss,...).
Each input becomes a run, in a folder of its own. A rerun adds only what is new.";
const EXAMPLES: &str = "\
Examples:
  scalars runs/*/metrics.csv --logdir logs && tensorboard --logdir logs
  ssh host cat log.csv | scalars - -o logs/host --step iteration --tag-prefix host/";

/// Turn CSV metrics into TensorBoard event files, and back.
///
/// Reads tidy tables (wall_time,step,epoch,tag,value) and wide ones (step,train_loss,...). Each input
/// becomes a run, in a folder of its own. A rerun adds only what is new.
#[derive(Debug, Clone, Parser)]
#[command(version, about = ABOUT, long_about = None, after_help = EXAMPLES)]
pub struct Args {
    /// CSV files; `-` is standard input
    #[arg(required = true, value_name = "CSV")]
    pub inputs: Vec<PathBuf>,

    /// The folder to give to TensorBoard's --logdir
    #[arg(short = 'o', long, value_name = "DIR", default_value = "logs", help_heading = "Output")]
    pub logdir: PathBuf,
    /// The run's name [default: the folder of metrics.csv, or the file's name]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub run: Option<String>,
    /// Store scalars as PyTorch does, as TensorFlow 2 does (tensor), or as float64
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub encoding: Encoding,

    /// The step column [default: step, global_step, iteration, epoch, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Input")]
    pub step: Option<String>,
    /// The column of seconds since 1970 [default: wall_time, timestamp, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Input")]
    pub wall_time: Option<String>,
    /// Take these tags only; * stands for any text
    #[arg(long, value_name = "TAG", help_heading = "Input")]
    pub only: Vec<String>,
    /// Give a tag another name
    #[arg(long, value_name = "OLD=NEW", help_heading = "Input")]
    pub rename: Vec<Rename>,
    /// Put this before every tag
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, help_heading = "Input")]
    pub tag_prefix: String,
    /// Leave bad cells out, and count them
    #[arg(long, help_heading = "Input")]
    pub skip_bad: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it")]
    pub common: torchmill::cli::Common,
}

impl Args {
    /// How CSVs are to be read.
    pub fn table_options(&self) -> Options {
        let select =
            Select { only: self.only.clone(), rename: self.rename.clone(), prefix: self.tag_prefix.clone() };
        Options {
            step: self.step.clone(),
            wall_time: self.wall_time.clone(),
            select,
            skip_bad: self.skip_bad,
        }
    }
}
