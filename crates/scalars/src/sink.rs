//! Where an input's points go: an event file for each of its runs.

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
    /// The folder of each name that a run goes by in the table.
    folders: HashMap<String, PathBuf>,
    runs: HashMap<PathBuf, Run>,
}

struct Run {
    state: State,
    points: u64,
}

enum State {
    /// Being compared with what is there.
    CatchUp(Box<EventFile>),
    /// Up to date, and growing.
    Live(LiveFile),
    /// Up to date.
    Done,
}

impl Sink {
    /// Nothing is looked at or written before the first point. Points that have no time
    /// get `now`, unless the file has one for them already.
    pub fn new(target: Target, now: f64) -> Self {
        Self { target, now, folders: HashMap::new(), runs: HashMap::new() }
    }

    /// The time for points that come from now on without one.
    pub fn set_now(&mut self, now: f64) {
        self.now = now;
    }

    /// Takes a point.
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

    /// All points are in.
    pub fn finish(&mut self) -> Result<()> {
        self.catch_up(false)
    }

    /// All points so far are in, and more will come. `false`: somebody else has changed a
    /// file, so the input has to be read again from its start.
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

/// Says what became of a file with this number of `points`, called `what` (`point`).
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

/// A run's folder. Its name comes from a table's cell, and must not lead elsewhere.
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
