//! Event files of the artifacts that a run has for each epoch next to its metrics.csv:
//! histograms of the checkpoints' weights, and contact sheets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use torchmill::progress::{note, say};
use torchmill::run::epoch_files;
use torchmill::time::unix_seconds;
use torchmill::{Context, Error, Result, git_lfs, interrupt};

use crate::convert::Destination;
use crate::event::file::{self, EventFile, Target};
use crate::event::proto::{Data, Event, What};
use crate::input::source::Source;
use crate::input::table::Options;
use crate::{runs, sink};

/// A kind of file of which a run has one per epoch.
pub struct Artifact {
    /// The option that asks for them.
    pub option: &'static str,
    /// The folder next to metrics.csv: `FOLDER/epoch-0001.EXTENSION`.
    pub folder: &'static str,
    /// Their extension.
    pub extension: &'static str,
    /// What TensorBoard shows them as: `histogram`, `image`.
    pub what: &'static str,
    /// Reads the tags and values in a file's bytes.
    pub read: fn(&[u8]) -> Result<Values>,
}

/// Tags and their values.
pub type Values = Vec<(String, Data)>;

/// A value in an event file.
struct Record {
    wall_time: f64,
    tag: String,
    data: Data,
}

/// The records of each epoch.
type Epochs = BTreeMap<i64, Vec<Record>>;

impl Artifact {
    /// Writes the artifacts of all inputs. Runs without any are fine, as long as one has
    /// some. A file that cannot be read does not stop the others.
    pub fn write(&self, sources: &[Source], destination: &Destination) -> Result<()> {
        let names = runs::names(sources, destination.run.as_deref())?;
        let mut missing = Vec::new();
        let mut failures = Failures::default();
        for (source, name) in sources.iter().zip(&names) {
            let folder = self.folder_of(source)?;
            let files = self.files(&folder)?;
            if files.is_empty() {
                let extension = self.extension;
                missing.push(format!(
                    "{}: there is no epoch-*.{extension}",
                    folder.display()
                ));
                continue;
            }
            let target = destination.target(source, name);
            match self.write_one(source, &files, target, &mut failures) {
                Err(error) if error.ends_the_program() => return Err(error),
                Err(error) => failures.add(error.within(source)),
                Ok(()) => {}
            }
        }
        if let Some(last) = failures.last {
            missing.iter().for_each(note);
            return Err(last);
        }
        if let Some(first) = missing.first()
            && missing.len() == sources.len()
        {
            return Err(Error::failed(first));
        }
        missing.iter().for_each(note);
        Ok(())
    }

    /// The folder of the files that belong to an input.
    fn folder_of(&self, source: &Source) -> Result<PathBuf> {
        match source {
            Source::File(csv) => Ok(csv.with_file_name(self.folder)),
            Source::Stdin => Err(Error::usage(format_args!(
                "{} reads the folder {} next to a metrics.csv: give its path",
                self.option, self.folder
            ))),
        }
    }

    fn files(&self, folder: &Path) -> Result<BTreeMap<i64, PathBuf>> {
        let mut files = BTreeMap::new();
        for (epoch, path) in epoch_files(folder, self.extension)? {
            // A step of an event file is an i64.
            if let Ok(step) = i64::try_from(epoch) {
                files.insert(step, path);
            }
        }
        Ok(files)
    }

    /// Writes the contents of the files to an event file next to the one of the scalars.
    /// The step is the epoch, the wall time is when the file was written. Events of files
    /// that have been removed (`train --keep`) are kept.
    fn write_one(
        &self,
        source: &Source,
        files: &BTreeMap<i64, PathBuf>,
        target: Target,
        failures: &mut Failures,
    ) -> Result<()> {
        let target = Target {
            source: format!("{}s", self.what),
            hparams: BTreeMap::new(),
            ..target
        };
        let mut file = EventFile::open(target.clone())?;
        let mut kept = kept(&target, files, source)?;
        let mut count = 0;
        let epochs: BTreeSet<i64> = files.keys().chain(kept.keys()).copied().collect();
        for epoch in epochs {
            interrupt::check()?;
            let mut records = kept.remove(&epoch).unwrap_or_default();
            if let Some(path) = files.get(&epoch) {
                match self.read_one(path) {
                    Ok(Some(new)) => records = new,
                    // The file has been removed since it was found.
                    Ok(None) => {}
                    Err(error) => failures.add(error.within(source)),
                }
            }
            for Record { wall_time, tag, data } in records {
                count += 1;
                file.push_data(wall_time, epoch, &tag, data)?;
            }
        }
        if file.started() {
            sink::report(&file.finish()?, count, self.what);
        }
        Ok(())
    }

    /// The records of a file; `None` if it no longer exists.
    fn read_one(&self, path: &Path) -> Result<Option<Vec<Record>>> {
        let read = || io::Result::Ok((fs::metadata(path)?.modified()?, fs::read(path)?));
        let (written, bytes) = match read() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.doing("read", path)?,
        };
        let wall_time = unix_seconds(written);
        let values = git_lfs::check(&bytes)
            .and_then(|()| (self.read)(&bytes))
            .map_err(|e| e.within(path.display()))?;
        let record = |(tag, data)| Record { wall_time, tag, data };
        Ok(Some(values.into_iter().map(record).collect()))
    }
}

/// The errors of single files. Each is shown; the last one is the program's error.
#[derive(Default)]
struct Failures {
    last: Option<Error>,
}

impl Failures {
    fn add(&mut self, error: Error) {
        if let Some(earlier) = self.last.replace(error) {
            say(format_args!("scalars: {earlier}"));
        }
    }
}

/// The records in the event file, up to the epoch of the last file. For an epoch that
/// still has a file, they are used if that file cannot be read.
///
/// A record that is older than the run, or newer than the file of a later epoch, belongs
/// to a history that the run no longer has: another run in the same folder, or epochs
/// from before a resume. Such records are left out.
fn kept(
    target: &Target,
    files: &BTreeMap<i64, PathBuf>,
    source: &Source,
) -> Result<Epochs> {
    let mut kept = Epochs::new();
    let mut events = file::events(target)?;
    events.retain(|event| matches!(event.what, Some(What::Summary(_))));
    if events.is_empty() {
        return Ok(kept);
    }
    let begin = first_wall_time(source)?;
    for Event { wall_time, step, what } in events {
        let Some((_, later)) = files.range(step..).next() else { continue };
        let Ok(written) = fs::metadata(later).and_then(|about| about.modified()) else {
            continue;
        };
        if wall_time < begin || wall_time > unix_seconds(written) {
            continue;
        }
        let Some(What::Summary(summary)) = what else { continue };
        for value in summary.value {
            if let Some(data) = value.data {
                let record = Record { wall_time, tag: value.tag, data };
                kept.entry(step).or_default().push(record);
            }
        }
    }
    Ok(kept)
}

/// The first wall time in a run's CSV; minus infinity if it has none.
fn first_wall_time(source: &Source) -> Result<f64> {
    let mut first = f64::INFINITY;
    let options = Options { skip_bad: true, ..Options::default() };
    source.read(&options, &mut |point| {
        first = first.min(point.wall_time.unwrap_or(f64::NEG_INFINITY));
        Ok(())
    })?;
    Ok(if first.is_finite() { first } else { f64::NEG_INFINITY })
}
