//! The event file of one run: written once and then only appended to, however often the
//! program runs.
//!
//! TensorBoard may be reading the file, and continues where it was. So records are
//! generated from the start and compared with those already in the file. If they are the
//! same, nothing is written; new records are appended. If the history has changed (a run
//! was resumed from an earlier checkpoint, or started anew), a new file replaces the old
//! one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use torchmill::atomic::{self, AtomicFile};
use torchmill::{Context, Error, Result};

use super::encode::{Encoder, Encoding, Scalar};
use super::folder_lock::FolderLock;
use super::proto::{Data, Event, HParam};
use super::record::{self, Next};

/// Which event file to write, and the contents of its header.
#[derive(Debug, Clone)]
pub struct Target {
    /// The run's folder.
    pub folder: PathBuf,
    /// The end of the file's name, so that two inputs may share a folder.
    pub source: String,
    /// How scalars are laid out.
    pub encoding: Encoding,
    /// The run's hyperparameters; may be none.
    pub hparams: BTreeMap<String, HParam>,
}

/// An event file that is up to date.
pub struct Finished {
    /// What was done to it.
    pub outcome: Outcome,
    /// Its path.
    pub path: PathBuf,
    /// Continues at the end of the file.
    pub encoder: Encoder,
    /// Until it is dropped, no other process writes to the file.
    pub lock: FolderLock,
}

/// What was done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It already had all points.
    UpToDate,
    /// It was created.
    Created,
    /// This many points were appended.
    Appended(u64),
    /// It had other points; a new file has replaced it.
    Replaced,
}

/// An event file being brought up to date.
pub struct EventFile {
    target: Target,
    lock: FolderLock,
    encoder: Encoder,
    state: State,
    /// The records of one point, before they are written.
    scratch: Vec<u8>,
    started: bool,
    added: u64,
}

enum State {
    /// There is no file yet.
    Fresh,
    /// So far the existing file has exactly the generated records.
    Same(Old),
    /// The new records are collected here until they are complete, and then appended to
    /// the old file.
    Append(Old, BufWriter<File>),
    /// A file that will replace the old ones.
    New(AtomicFile, PathBuf),
}

/// The event file that was there before.
struct Old {
    path: PathBuf,
    reader: record::Reader<BufReader<File>>,
    /// How many bytes equal the generated records.
    same: u64,
    /// The next record, if it has already been read into `reader`.
    peeked: Option<Next>,
}

impl EventFile {
    /// Looks for an event file of this target, to bring it up to date. The folder is made
    /// if it is missing, and locked.
    pub fn open(target: Target) -> Result<Self> {
        fs::create_dir_all(&target.folder).doing("make the folder", &target.folder)?;
        let lock = FolderLock::take(&target.folder)?;
        atomic::remove_abandoned(&target.folder);
        let state = match newest(&target)? {
            Some(path) => State::Same(Old::open(path)?),
            None => State::Fresh,
        };
        let encoder = Encoder::new(target.encoding);
        Ok(Self {
            target,
            lock,
            encoder,
            state,
            scratch: Vec::new(),
            started: false,
            added: 0,
        })
    }

    /// Adds a point. Without a wall time it keeps its time in the file, or gets `now`.
    pub fn push(
        &mut self,
        wall_time: Option<f64>,
        now: f64,
        step: i64,
        tag: &str,
        value: f64,
    ) -> Result<()> {
        if !self.started {
            self.started = true;
            self.header(wall_time, now)?;
        }
        let wall_time = match (wall_time, &mut self.state) {
            (Some(time), _) => time,
            (None, State::Same(old)) => old.wall_time()?.unwrap_or(now),
            (None, _) => now,
        };
        self.scratch.clear();
        self.encoder.scalar(&mut self.scratch, Scalar { wall_time, step, tag, value });
        self.add(wall_time)
    }

    /// Adds a histogram or an image.
    pub fn push_data(
        &mut self,
        wall_time: f64,
        step: i64,
        tag: &str,
        data: Data,
    ) -> Result<()> {
        if !self.started {
            self.started = true;
            self.header(Some(wall_time), wall_time)?;
        }
        self.scratch.clear();
        self.encoder.bare(&mut self.scratch, wall_time, step, tag, data);
        self.add(wall_time)
    }

    /// Adds the value in `scratch` to the file, and counts it if it is new.
    fn add(&mut self, wall_time: f64) -> Result<()> {
        self.write(wall_time)?;
        if !matches!(self.state, State::Same(_)) {
            self.added += 1;
        }
        Ok(())
    }

    /// Whether any point was pushed.
    pub fn started(&self) -> bool {
        self.started
    }

    fn header(&mut self, wall_time: Option<f64>, now: f64) -> Result<()> {
        let old_time = match &mut self.state {
            State::Same(old) => old.wall_time()?,
            _ => None,
        };
        let time = wall_time.or(old_time).unwrap_or(now);
        self.scratch.clear();
        self.encoder.file_version(&mut self.scratch, time);
        self.write(time)?;
        if !self.target.hparams.is_empty() {
            self.scratch.clear();
            self.encoder.hparams(&mut self.scratch, time, &self.target.hparams);
            self.write(time)?;
        }
        Ok(())
    }

    /// Adds the record in `scratch` to the file.
    fn write(&mut self, wall_time: f64) -> Result<()> {
        loop {
            match &mut self.state {
                State::Fresh => {
                    let path =
                        self.target.folder.join(file_name(&self.target, wall_time, None));
                    self.state = State::New(AtomicFile::create(&path)?, path);
                }
                State::Same(old) => match old.compare(&self.scratch)? {
                    Compared::Same => return Ok(()),
                    Compared::End => self.collect()?,
                    Compared::Other => self.replace(wall_time)?,
                },
                State::Append(old, spool) => {
                    return spool
                        .write_all(&self.scratch)
                        .doing("write next to", &old.path);
                }
                State::New(file, path) => {
                    return file.write_all(&self.scratch).doing("write", path);
                }
            }
        }
    }

    /// From [`State::Same`] to [`State::Append`].
    fn collect(&mut self) -> Result<()> {
        let spool = tempfile::tempfile_in(&self.target.folder)
            .doing("write in", &self.target.folder)?;
        if let State::Same(old) = std::mem::replace(&mut self.state, State::Fresh) {
            self.state = State::Append(old, BufWriter::with_capacity(1 << 18, spool));
        }
        Ok(())
    }

    /// From [`State::Same`] to [`State::New`], with the part that is the same copied.
    fn replace(&mut self, wall_time: f64) -> Result<()> {
        let State::Same(old) = std::mem::replace(&mut self.state, State::Fresh) else {
            return Ok(());
        };
        let path =
            self.target.folder.join(file_name(&self.target, wall_time, Some(&old.path)));
        let mut file = AtomicFile::create(&path)?;
        let mut source = File::open(&old.path).doing("read", &old.path)?;
        copy(&mut source, old.same, &mut file, &old.path)?;
        self.state = State::New(file, path);
        Ok(())
    }

    /// Brings the file up to date after the last point, completely or not at all.
    pub fn finish(mut self) -> Result<Finished> {
        if let State::Same(old) = &mut self.state
            && !matches!(old.peek()?, Next::End | Next::Torn)
        {
            // The file has more points than the run has now: the run was cut back.
            let time = old.wall_time()?.unwrap_or(0.0);
            self.replace(time)?;
        }
        let (outcome, path) = match self.state {
            State::Fresh => return Err(Error::failed("there is no point to write")),
            State::Same(old) => {
                old.cut_torn_end()?;
                (Outcome::UpToDate, old.path)
            }
            State::Append(old, spool) => {
                let mut spool = spool
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .doing("write next to", &old.path)?;
                old.cut_torn_end()?;
                let mut file = OpenOptions::new()
                    .append(true)
                    .open(&old.path)
                    .doing("open", &old.path)?;
                let copied = spool
                    .seek(SeekFrom::Start(0))
                    .and_then(|_| io::copy(&mut spool, &mut file));
                if let Err(e) = copied.and_then(|_| file.sync_all()) {
                    // Readers would not get past a torn record.
                    let _ = file.set_len(old.same);
                    return Err(e).doing("write", &old.path);
                }
                (Outcome::Appended(self.added), old.path)
            }
            State::New(file, path) => {
                file.commit()?;
                (Outcome::Created, path)
            }
        };
        // There are other files if this one replaces one, or if a program was killed
        // before it had removed the one that it replaced.
        let mut removed = false;
        for old in files(&self.target)?.iter().filter(|old| **old != path) {
            fs::remove_file(old).doing("remove", old)?;
            removed = true;
        }
        let outcome = match outcome {
            Outcome::Created if removed => Outcome::Replaced,
            outcome => outcome,
        };
        Ok(Finished { outcome, path, encoder: self.encoder, lock: self.lock })
    }
}

enum Compared {
    Same,
    Other,
    End,
}

impl Old {
    fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).doing("read", &path)?;
        let reader = record::Reader::new(BufReader::with_capacity(1 << 18, file));
        Ok(Self { path, reader, same: 0, peeked: None })
    }

    fn peek(&mut self) -> Result<Next> {
        match self.peeked {
            Some(next) => Ok(next),
            None => {
                let next = self.reader.next().doing("read", &self.path)?;
                self.peeked = Some(next);
                Ok(next)
            }
        }
    }

    /// Compares a framed record with the next record in the file.
    fn compare(&mut self, framed: &[u8]) -> Result<Compared> {
        match self.peek()? {
            Next::Record
                if framed.get(12..framed.len().saturating_sub(4))
                    == Some(self.reader.payload()) =>
            {
                self.accept();
                Ok(Compared::Same)
            }
            Next::End | Next::Torn => Ok(Compared::End),
            Next::Record | Next::BadLength | Next::BadPayload => Ok(Compared::Other),
        }
    }

    fn accept(&mut self) {
        self.peeked = None;
        self.same = self.reader.offset();
    }

    /// The next record's wall time, if there is one.
    fn wall_time(&mut self) -> Result<Option<f64>> {
        Ok(match self.peek()? {
            Next::Record => {
                Event::decode(self.reader.payload()).ok().map(|event| event.wall_time)
            }
            _ => None,
        })
    }

    /// Removes an incomplete record that an interrupted writer left at the end.
    fn cut_torn_end(&self) -> Result<()> {
        let length = fs::metadata(&self.path).doing("read", &self.path)?.len();
        if length > self.same {
            let file = OpenOptions::new()
                .write(true)
                .open(&self.path)
                .doing("open", &self.path)?;
            file.set_len(self.same).doing("write", &self.path)?;
        }
        Ok(())
    }
}

/// Copies the first `length` bytes.
fn copy(file: &mut File, length: u64, out: &mut impl Write, path: &Path) -> Result<()> {
    io::copy(&mut file.take(length), out).doing("copy", path)?;
    Ok(())
}

/// `events.out.tfevents.<time>.torchmill.<source>`. The time is that of the first point.
/// Readers take files in the order of their names, so a file that replaces another must
/// come after it.
fn file_name(target: &Target, wall_time: f64, after: Option<&Path>) -> String {
    const LATEST: u64 = 9_999_999_999;
    let after =
        after.and_then(Path::file_name).and_then(|name| time_in(&name.to_string_lossy()));
    let time =
        (wall_time as u64).max(after.map_or(0, |t| t.saturating_add(1))).min(LATEST);
    format!("events.out.tfevents.{time:010}.torchmill.{}", target.source)
}

fn time_in(name: &str) -> Option<u64> {
    name.strip_prefix("events.out.tfevents.")?.split('.').next()?.parse().ok()
}

/// The target's event files, oldest first. There is only one, unless a program was killed
/// while it replaced it.
fn files(target: &Target) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(&target.folder) {
        // A file in the folder's place is reported when the folder is created.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        entries => entries.doing("read", &target.folder)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.doing("read", &target.folder)?.file_name();
        let ours = name
            .to_str()
            .and_then(|n| n.strip_prefix("events.out.tfevents."))
            .and_then(|n| n.split_once('.'))
            .is_some_and(|(time, rest)| {
                time.parse::<u64>().is_ok()
                    && rest.strip_prefix("torchmill.") == Some(&target.source)
            });
        if ours {
            found.push(target.folder.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// The events in the target's event file, up to the first damaged or incomplete record.
/// Empty if there is no file.
pub fn events(target: &Target) -> Result<Vec<Event>> {
    let Some(path) = newest(target)? else { return Ok(Vec::new()) };
    let mut old = Old::open(path)?;
    let mut events = Vec::new();
    while old.peek()? == Next::Record {
        events.extend(Event::decode(old.reader.payload()).ok());
        old.accept();
    }
    Ok(events)
}

fn newest(target: &Target) -> Result<Option<PathBuf>> {
    Ok(files(target)?.pop())
}

#[cfg(test)]
mod tests;
