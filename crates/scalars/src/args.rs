//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::event::encode::Encoding;
use crate::input::select::Rename;

const ABOUT: &str = "\
Turn CSV metrics into TensorBoard event files, and back

Reads tidy tables (wall_time,step,epoch,tag,value) and wide ones (step,train_loss,...).
Each input becomes a run, in a folder of its own. A rerun adds only what is new.";

const EXAMPLES: &str = "\
Examples:
  scalars runs --logdir logs && tensorboard --logdir logs
  scalars runs --follow                          # live, until Ctrl-C
  scalars runs/first --histograms                # how the weights change
  scalars runs --plot --only '*loss'
  scalars --dump logs > all.csv";

/// The unchecked command line of `scalars`.
#[derive(Debug, Clone, Parser)]
#[command(version, about = ABOUT, long_about = None, after_help = EXAMPLES)]
pub struct Args {
    /// CSV files, folders to look for metrics.csv in, or `-` for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,

    /// The folder to give to TensorBoard's --logdir [default: logs]
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    pub logdir: Option<PathBuf>,
    /// Keep converting as the inputs grow, until Ctrl-C
    #[arg(long, conflicts_with_all = ["dump", "plot", "html"], help_heading = "Output")]
    pub follow: bool,
    /// Print event files (or folders of them) as CSV
    #[arg(long, conflicts_with_all = ["logdir", "plot", "html"], help_heading = "Output")]
    pub dump: bool,
    /// Also write histograms of the weights in checkpoints/ next to metrics.csv
    #[arg(long, conflicts_with_all = ["follow", "dump"], help_heading = "Output")]
    pub histograms: bool,
    /// Also write the images of evaluate --samples in samples/ next to metrics.csv
    #[arg(long, conflicts_with_all = ["follow", "dump"], help_heading = "Output")]
    pub images: bool,
    /// Draw the curves in the terminal
    #[arg(long, help_heading = "Output")]
    pub plot: bool,
    /// Write a page with the curves, for any browser; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
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
    /// Only these tags; * matches any text
    #[arg(long, value_name = "TAG", help_heading = "Input")]
    pub only: Vec<String>,
    /// Rename a tag
    #[arg(long, value_name = "OLD=NEW", help_heading = "Input")]
    pub rename: Vec<Rename>,
    /// Put this before every tag
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Input"
    )]
    pub tag_prefix: String,
    /// Leave out bad cells, and count them
    #[arg(long, help_heading = "Input")]
    pub skip_bad: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it")]
    pub common: torchmill::cli::Common,
}
