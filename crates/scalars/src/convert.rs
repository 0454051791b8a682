//! CSV to event files, once.

use std::path::{Path, PathBuf};

use torchmill::progress::{count, note, say};
use torchmill::time::now;
use torchmill::{Error, ErrorKind, Result};

use crate::event::encode::Encoding;
use crate::event::file::Target;
use crate::input::source::{Feed, Source};
use crate::input::table::{Noted, Options, Table, Tally};
use crate::sink::Sink;
use crate::{hparams, runs};

/// Where the events of the inputs go.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The folder for TensorBoard's --logdir.
    pub logdir: PathBuf,
    /// The name of the only run, in place of the input's own.
    pub run: Option<String>,
    /// How scalars are laid out.
    pub encoding: Encoding,
}

impl Destination {
    /// The event file of an input whose run is called `name`.
    pub fn target(&self, source: &Source, name: &Path) -> Target {
        Target {
            // Joining an empty path would add a slash.
            folder: if name == Path::new("") {
                self.logdir.clone()
            } else {
                self.logdir.join(name)
            },
            source: runs::source_name(source),
            encoding: self.encoding,
            hparams: hparams::of_input(source),
        }
    }
}

/// Converts each input. If one fails, the others are still converted.
pub fn convert(
    sources: &[Source],
    destination: &Destination,
    options: &Options,
) -> Result<()> {
    let names = runs::names(sources, destination.run.as_deref())?;
    let mut failed = None;
    for (source, name) in sources.iter().zip(&names) {
        match convert_one(source, destination.target(source, name), options) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                if let Some(earlier) = failed.replace(error) {
                    say(format_args!("scalars: {earlier}"));
                }
            }
            Ok(()) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

fn convert_one(source: &Source, target: Target, options: &Options) -> Result<()> {
    let mut sink = Sink::new(target, now());
    let feed = source.read(options, &mut |point| sink.push(point))?;
    if let Some(why) = feed.emptiness() {
        return Err(Error::failed(why).within(source));
    }
    report(source, &feed, options);
    sink.finish()
}

/// Reports what the user should know about the table.
pub fn report(source: &Source, feed: &Feed, options: &Options) {
    let tally = feed.tally();
    report_rows(source, feed.table().is_some_and(Table::numbers_rows));
    report_values(source, &tally);
    for unused in options.select.unused(&tally.tags) {
        note(format_args!("{source}: {unused}"));
    }
}

/// Reports that rows had to be numbered.
pub fn report_rows(source: &Source, numbered: bool) {
    if numbered {
        note(format_args!(
            "{source}: no step column, so rows are numbered from 0 (--step names one)"
        ));
    }
}

/// Reports the counted values that the user should know about.
pub fn report_values(source: &Source, tally: &Tally) {
    let noted = |noted: &Noted, one: &str, more: &str| match noted.count {
        0 => {}
        1 => note(format_args!("{source}: 1 {one}: {}", noted.first)),
        n => note(format_args!(
            "{source}: {} {more}, the first at {}",
            count(n),
            noted.first
        )),
    };
    noted(&tally.bad, "bad cell left out", "bad cells left out");
    noted(&tally.non_finite, "value is not finite", "values are not finite");
    if tally.scaled_times.count > 0 {
        note(format_args!("{source}: {}", tally.scaled_times.first));
    }
    if tally.not_increasing.count > 0 {
        note(format_args!(
            "{source}: {}; TensorBoard drops a curve's earlier points from such a step \
             on",
            tally.not_increasing.first
        ));
    }
}
