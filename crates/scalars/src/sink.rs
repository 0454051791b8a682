//! Writes an input's points to an event file for each of its runs.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use torchmill::progress::{count, note};
use torchmill::{Error, Result};

use crate::event::encode::Scalar;
use crate::event::file::{EventFile, Finished, Outcome, Target};
use crate::event::live::LiveFile;
use crate::input::table::Point;

/// The event files of one input. Most have one run; a table with a `run` column has
/// several.
pub struct Sink {
    target: Target,
    now: f64,
    /// The folder of each run, by the run's name in the table.
    folders: HashMap<String, PathBuf>,
    runs: HashMap<PathBuf, Run>,
}

struct Run {
    state: State,
    points: u64,
}

enum State {
    /// Being compared with the existing file.
    CatchUp(Box<EventFile>),
    /// Up to date, and growing.
    Live(LiveFile),
    /// Up to date.
    Done,
}

impl Sink {
    /// Nothing is read or written before the first point. Points without a time get
    /// `now`, unless the file already has a time for them.
    pub fn new(target: Target, now: f64) -> Self {
        Self { target, now, folders: HashMap::new(), runs: HashMap::new() }
    }

    /// Sets the time for further points without one.
    pub fn set_now(&mut self, now: f64) {
        self.now = now;
    }

    /// Adds a point.
    pub fn push(&mut self, point: Point) -> Result<()> {
        if !self.folders.contains_key(point.run) {
            let folder = folder(&self.target.folder, point.run)?;
            self.folders.insert(point.run.to_owned(), folder.clone());
            // Two names may stand for one folder: `a` and `./a`.
            if !self.runs.contains_key(&folder) {
                let target = Target { folder: folder.clone(), ..self.target.clone() };
                let state = State::CatchUp(Box::new(EventFile::open(target)?));
                self.runs.insert(folder, Run { state, points: 0 });
            }
        }
        let folder = self.folders.get(point.run);
        let Some(run) = folder.and_then(|folder| self.runs.get_mut(folder)) else {
            return Ok(());
        };
        run.points += 1;
        let Point { wall_time, step, tag, value, .. } = point;
        match &mut run.state {
            State::CatchUp(file) => file.push(wall_time, self.now, step, tag, value),
            State::Live(file) => {
                file.push(Scalar {
                    wall_time: wall_time.unwrap_or(self.now),
                    step,
                    tag,
                    value,
                });
                Ok(())
            }
            State::Done => Ok(()),
        }
    }

    /// Completes the files after the last point.
    pub fn finish(&mut self) -> Result<()> {
        self.catch_up(false)
    }

    /// Writes the points so far; more may come. Returns `false` if another process has
    /// changed a file, so that the input has to be read again from its start.
    pub fn flush(&mut self) -> Result<bool> {
        for run in self.runs.values_mut() {
            if let State::Live(file) = &mut run.state
                && !file.flush()?
            {
                return Ok(false);
            }
        }
        self.catch_up(true)?;
        Ok(true)
    }

    fn catch_up(&mut self, live: bool) -> Result<()> {
        let mut runs: Vec<_> = self.runs.iter_mut().collect();
        runs.sort_by_key(|(name, _)| *name);
        for (_, run) in runs {
            match std::mem::replace(&mut run.state, State::Done) {
                State::CatchUp(file) if file.started() => {
                    let finished = file.finish()?;
                    report(&finished, run.points, "point");
                    if live {
                        run.state = State::Live(LiveFile::open(finished)?);
                    }
                }
                other => run.state = other,
            }
        }
        Ok(())
    }
}

/// Reports what was done to a file with this number of `points`, called `what` (`point`).
pub fn report(finished: &Finished, points: u64, what: &str) {
    let path = finished.path.display();
    let all = format!("{} {what}{}", count(points), if points == 1 { "" } else { "s" });
    note(match finished.outcome {
        Outcome::Created => format!("{path}: {all}"),
        Outcome::UpToDate => format!("{path}: {all}, up to date"),
        Outcome::Appended(new) => format!("{path}: {all}, {} of them new", count(new)),
        Outcome::Replaced => {
            format!("{path}: {all}; the run had changed, so the old file is replaced")
        }
    });
}

/// A run's folder. Its name comes from a cell of the table, and must not lead out of the
/// log folder.
fn folder(base: &Path, run: &str) -> Result<PathBuf> {
    let mut folder = base.to_owned();
    for part in Path::new(run).components() {
        match part {
            Component::Normal(name) => folder.push(name),
            Component::CurDir => {}
            _ => {
                return Err(Error::failed(format_args!(
                    "a run called {run:?} would lie outside the log folder"
                )));
            }
        }
    }
    Ok(folder)
}
