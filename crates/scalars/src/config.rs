//! The checked and complete settings from the command line.

use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::artifacts::Artifact;
use crate::convert::Destination;
use crate::event::encode::Encoding;
use crate::input::select::Select;
use crate::input::table::Options;
use crate::{histograms, images};

/// The default log folder.
const LOGDIR: &str = "logs";

/// What to do, with its settings.
pub enum Config {
    /// Print event files as CSV.
    Dump(Dump),
    /// Convert CSVs as they grow.
    Follow(Follow),
    /// Convert or draw CSVs once.
    Once(Once),
}

/// `--dump`.
pub struct Dump {
    /// Event files, and folders of them.
    pub inputs: Vec<PathBuf>,
    /// The tags to print.
    pub select: Select,
}

/// `--follow`.
pub struct Follow {
    /// CSVs, and folders of them.
    pub inputs: Vec<PathBuf>,
    /// Where the event files go.
    pub destination: Destination,
    /// How CSVs are read.
    pub options: Options,
}

/// Everything else.
pub struct Once {
    /// CSVs, and folders of them.
    pub inputs: Vec<PathBuf>,
    /// The name of the only run, in place of the input's own.
    pub run: Option<String>,
    /// How CSVs are read.
    pub options: Options,
    /// Draw the curves in the terminal.
    pub plot: bool,
    /// Write a page with the curves here; `-` is standard output.
    pub html: Option<PathBuf>,
    /// Where the event files go; `None` if only curves are drawn.
    pub destination: Option<Destination>,
    /// The artifacts to write there too.
    pub artifacts: Vec<Artifact>,
}

impl Config {
    /// Checks the arguments.
    pub fn new(args: Args) -> Self {
        let options = options(&args);
        if args.dump {
            return Self::Dump(Dump { inputs: args.inputs, select: options.select });
        }
        let logdir = args.logdir.as_deref().unwrap_or(Path::new(LOGDIR));
        let destination = Destination {
            logdir: logdir.to_owned(),
            run: args.run.clone(),
            encoding: args.encoding,
        };
        if args.follow {
            return Self::Follow(Follow { inputs: args.inputs, destination, options });
        }
        let draws = args.plot || args.html.is_some();
        let mut artifacts = Vec::new();
        if args.histograms {
            artifacts.push(histograms::CHECKPOINTS);
        }
        if args.images {
            artifacts.push(images::SAMPLES);
        }
        // Drawing curves needs no event files.
        let writes = !draws || args.logdir.is_some() || !artifacts.is_empty();
        Self::Once(Once {
            inputs: args.inputs,
            run: args.run,
            options,
            plot: args.plot,
            html: args.html,
            destination: writes.then_some(destination),
            artifacts,
        })
    }
}

/// How to read CSVs.
fn options(args: &Args) -> Options {
    let select = Select {
        only: args.only.clone(),
        rename: args.rename.clone(),
        prefix: args.tag_prefix.clone(),
    };
    let draws = args.plot || args.html.is_some();
    Options {
        step: args.step.clone(),
        wall_time: args.wall_time.clone(),
        select,
        skip_bad: args.skip_bad,
        // Curves are drawn without rounding.
        singles: args.encoding != Encoding::Double && !draws,
        value_tag: None,
    }
}
