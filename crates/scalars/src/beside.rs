//! What a run has beside its metrics.csv, a file for each epoch, in event files of its
//! own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use torchmill::epochs::epochs;
use torchmill::progress::{note, say};
use torchmill::{Context, Error, Result, interrupt};

use crate::convert::Destination;
use crate::event::file::{self, EventFile, Target};
use crate::event::proto::{Data, Event, What};
use crate::input::source::Source;
use crate::input::table::Options;
use crate::{runs, sink};

/// A kind of file that runs have for their epochs.
pub struct Kind {
    /// Asks for them.
    pub option: &'static str,
    /// Where they lie: `FOLDER/epoch-0001.ENDING`.
    pub folder: &'static str,
    /// What they end in.
    pub ending: &'static str,
    /// What is made of them.
    pub what: &'static str,
    /// The tags and values in a file's bytes.
    pub read: fn(&[u8]) -> Result<Values>,
}

/// Tags and their values.
pub type Values = Vec<(String, Data)>;

impl Kind {
    /// Writes what all inputs have of this kind. Not every run needs to have it, but one
    /// must. A file that cannot be read does not keep the others out.
    pub fn write(&self, sources: &[Source], destination: &Destination) -> Result<()> {
        let mut missing = Vec::new();
        let mut failed = None;
        let mut fail = |error: Error| {
            if let Some(earlier) = failed.replace(error) {
                say(format_args!("scalars: {earlier}"));
            }
        };
        for (source, name) in
            sources.iter().zip(runs::names(sources, destination.run.as_deref())?)
        {
            let Source::File(csv) = source else {
                return Err(Error::usage(format_args!(
                    "{} takes {} from beside a metrics.csv: give its path",
                    self.option, self.folder
                )));
            };
            let folder = csv.with_file_name(self.folder);
            let files = epochs(&folder, self.ending)?;
            if files.is_empty() {
                missing.push(format!(
                    "{}: there is no epoch-*.{}",
                    folder.display(),
                    self.ending
                ));
                continue;
            }
            let written = self.write_one(
                source,
                &files,
                destination.target(source, &name),
                &mut fail,
            );
            match written.map_err(|e| e.within(source)) {
                Err(error) if error.ends_the_program() => {
                    return Err(error);
                }
                Err(error) => fail(error),
                Ok(()) => {}
            }
        }
        match (failed, missing.first()) {
            (None, Some(first)) if missing.len() == sources.len() => {
                Err(Error::failed(first))
            }
            (failed, _) => {
                missing.iter().for_each(note);
                failed.map_or(Ok(()), Err)
            }
        }
    }

    /// Writes what the files hold into an event file beside that of the scalars: step is
    /// the epoch, wall time when the file was written. Like that one it only grows: what
    /// it has of files that are gone (`train --keep`) stays.
    fn write_one(
        &self,
        source: &Source,
        files: &BTreeMap<i64, PathBuf>,
        target: Target,
        fail: &mut impl FnMut(Error),
    ) -> Result<()> {
        let target = Target {
            source: format!("{}s", self.what),
            hparams: Default::default(),
            ..target
        };
        let mut kept = kept(&target, files, || begin(source))?;
        let mut file = EventFile::open(target)?;
        let mut count = 0;
        let mut push = |wall_time, epoch, tag: &str, data| {
            count += 1;
            file.push_data(wall_time, epoch, tag, data)
        };
        let all: BTreeSet<i64> = files.keys().chain(kept.keys()).copied().collect();
        for epoch in all {
            interrupt::check()?;
            let old = kept.remove(&epoch).unwrap_or_default();
            let new = files.get(&epoch).map(|path| self.read_one(path));
            match new.transpose() {
                Ok(Some(Some((wall_time, values)))) => {
                    values
                        .into_iter()
                        .try_for_each(|(tag, data)| push(wall_time, epoch, &tag, data))?;
                    continue;
                }
                Ok(_) => {}
                Err(error) => fail(error.within(source)),
            }
            old.into_iter().try_for_each(|(wall_time, tag, data)| {
                push(wall_time, epoch, &tag, data)
            })?;
        }
        if file.started() {
            sink::report(&file.finish()?, count, self.what);
        }
        Ok(())
    }

    /// When a file was written, and what it holds; `None` where it has been removed since
    /// it was found.
    fn read_one(&self, path: &Path) -> Result<Option<(f64, Values)>> {
        let read = || io::Result::Ok((fs::metadata(path)?.modified()?, fs::read(path)?));
        let (written, bytes) = match read() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.doing("read", path)?,
        };
        let wall_time =
            written.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let values = (self.read)(&bytes).map_err(|e| e.within(path.display()))?;
        Ok(Some((wall_time, values)))
    }
}

/// A value as an event file has it: wall time, tag, data.
type Record = (f64, String, Data);

/// What the event file has of epochs before the last one's file. Of those that have a
/// file still it is what stands in for one that cannot be read. What is older than the
/// run, or newer than the file of a later epoch, is from a history that the run no longer
/// has: of another run in the same folder, or from before a resume. `begin` is asked for
/// the run's first wall time.
fn kept(
    target: &Target,
    files: &BTreeMap<i64, PathBuf>,
    begin: impl Fn() -> Result<f64>,
) -> Result<BTreeMap<i64, Vec<Record>>> {
    let mut kept: BTreeMap<i64, Vec<Record>> = BTreeMap::new();
    let mut events = file::events(target)?;
    events.retain(|event| matches!(event.what, Some(What::Summary(_))));
    if events.is_empty() {
        return Ok(kept);
    }
    let begin = begin()?;
    for Event { wall_time, step, what } in events {
        let later = files.range(step..).next().map(|(_, path)| path);
        let written =
            later.and_then(|path| fs::metadata(path).and_then(|m| m.modified()).ok());
        let written = written
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map_or(0.0, |d| d.as_secs_f64());
        if wall_time < begin || wall_time > written {
            continue;
        }
        let Some(What::Summary(summary)) = what else { continue };
        for value in summary.value {
            if let Some(data) = value.data {
                kept.entry(step).or_default().push((wall_time, value.tag, data));
            }
        }
    }
    Ok(kept)
}

/// The first wall time in a run's CSV; minus infinity where it has none.
fn begin(source: &Source) -> Result<f64> {
    let mut begin = f64::INFINITY;
    let options = Options { skip_bad: true, ..Options::default() };
    source.read(&options, &mut |point| {
        begin = begin.min(point.wall_time.unwrap_or(f64::NEG_INFINITY));
        Ok(())
    })?;
    Ok(if begin.is_finite() { begin } else { f64::NEG_INFINITY })
}
