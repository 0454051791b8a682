//! Converts CSV to event files while the CSV grows. Each poll reads the new bytes. A file
//! that was truncated, replaced or removed is read from its start again, and
//! [`crate::event::file`] brings the events up to date.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use torchmill::progress::{note, say};
use torchmill::time::now;
use torchmill::{Context, Error, Result, interrupt, parallel};

use crate::convert::{Destination, report_rows, report_values};
use crate::event::file::Target;
use crate::input::source::{Feed, Source};
use crate::input::table::{Options, Table};
use crate::runs;
use crate::sink::Sink;

/// The time between two polls.
const PAUSE: Duration = Duration::from_millis(500);
/// How many of the last bytes are remembered, to notice that a file was truncated and has
/// grown again.
const TAIL: usize = 4096;

/// Follows the inputs until Ctrl-C, or until standard input ends if that is the only
/// input. `sources` is called in every poll, so that runs that appear later are followed
/// too.
pub fn follow(
    sources: impl Fn() -> Result<Vec<Source>>,
    destination: &Destination,
    options: &Options,
) -> Result<()> {
    let mut known = HashSet::new();
    let mut followers: Vec<Follower> = Vec::new();
    let mut trouble = None;
    loop {
        match sources()
            .and_then(|all| Ok((runs::names(&all, destination.run.as_deref())?, all)))
        {
            Ok((names, all)) => {
                for (source, name) in all.into_iter().zip(names) {
                    if known.insert(source.clone()) {
                        let destination = destination.clone();
                        let target = Box::new(move |source: &Source| {
                            destination.target(source, &name)
                        });
                        followers.push(Follower::new(source, target)?);
                    }
                }
            }
            // The inputs that are already followed are unaffected.
            Err(error) if !followers.is_empty() => {
                if trouble.as_ref() != Some(&error) {
                    say(format_args!("scalars: {error}"));
                    trouble = Some(error);
                }
            }
            Err(error) => return Err(error),
        }
        let mut going = followers.is_empty();
        for i in 0..followers.len() {
            match followers[i].look(options) {
                Ok(goes_on) => going |= goes_on,
                Err(error) if error.ends_the_program() => {
                    return Err(error);
                }
                Err(error) => {
                    followers[i].give_up();
                    // The last error is the program's error.
                    if followers.iter().all(Follower::is_over) {
                        return Err(error);
                    }
                    going = true;
                    say(format_args!(
                        "scalars: {error}; the other inputs are still followed"
                    ));
                }
            }
            if interrupt::requested() {
                return Ok(());
            }
        }
        if !going {
            return Ok(());
        }
        for _ in 0..10 {
            if interrupt::requested() {
                return Ok(());
            }
            std::thread::sleep(PAUSE / 10);
        }
    }
}

/// An input that is followed.
struct Follower {
    source: Source,
    /// Makes the target again for each start, because the recipe next to the CSV may have
    /// changed.
    target: Box<dyn Fn(&Source) -> Target>,
    input: Input,
    reading: Option<Reading>,
    waiting: bool,
    /// The version of the input that could not be read further. The input is not read
    /// again until it has another version or is truncated.
    failed: Option<Option<Version>>,
}

/// The identity and length of the file at a path.
#[derive(Debug, Clone, Copy)]
struct Version {
    identity: Option<(u64, u64)>,
    length: u64,
}

enum Input {
    File(PathBuf),
    Pipe(Receiver<io::Result<Vec<u8>>>),
    Ended,
}

/// The position in the input, and where its points go.
struct Reading {
    feed: Feed,
    sink: Sink,
    reported: bool,
    identity: Option<(u64, u64)>,
    offset: u64,
    tail: Vec<u8>,
}

impl Follower {
    fn new(source: Source, target: Box<dyn Fn(&Source) -> Target>) -> Result<Self> {
        let input = match &source {
            Source::Stdin => Input::Pipe(pump_stdin()?),
            Source::File(path) => Input::File(path.clone()),
        };
        Ok(Self { source, target, input, reading: None, waiting: false, failed: None })
    }

    /// Whether no more data will come unless the input is replaced.
    fn is_over(&self) -> bool {
        self.failed.is_some() || matches!(self.input, Input::Ended)
    }

    /// Stops reading the input after an error.
    fn give_up(&mut self) {
        self.failed = Some(match &self.input {
            Input::File(path) => fs::metadata(path).ok().map(|m| Version::of(&m)),
            Input::Pipe(_) | Input::Ended => None,
        });
        self.reading = None;
        if !matches!(self.input, Input::File(_)) {
            self.input = Input::Ended;
        }
    }

    /// Whether the input is still the version that could not be read.
    fn is_left_alone(&mut self) -> bool {
        let (Some(failed), Input::File(path)) = (self.failed, &self.input) else {
            return false;
        };
        let now = fs::metadata(path).ok().map(|m| Version::of(&m));
        let same = match (failed, now) {
            (Some(then), Some(now)) => {
                now.identity == then.identity && now.length >= then.length
            }
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.failed = None;
        }
        same
    }

    /// Reads the new data. Returns `false` if nothing more will come.
    fn look(&mut self, options: &Options) -> Result<bool> {
        if self.is_left_alone() {
            return Ok(true);
        }
        let going = match &self.input {
            Input::File(path) => {
                let path = path.clone();
                self.look_at_file(&path, options)?;
                true
            }
            Input::Pipe(_) => self.drain_pipe(options)?,
            Input::Ended => return Ok(false),
        };
        let Some(reading) = &mut self.reading else { return Ok(going) };
        if !reading.sink.flush()? {
            // Another process, perhaps a second `scalars`, wrote to our event file:
            // compare from the start.
            self.reading = None;
            if matches!(self.input, Input::Pipe(_) | Input::Ended) {
                return Err(Error::failed(
                    "another program writes to the run's event file",
                )
                .within(&self.source));
            }
            return Ok(going);
        }
        let tally = reading.feed.tally();
        if !tally.tags.is_empty() && !std::mem::replace(&mut reading.reported, true) {
            let numbered = reading.feed.table().is_some_and(Table::numbers_rows);
            report_rows(&self.source, numbered);
            // Tags that are written at the end of an epoch come later.
            options.select.unused(&tally.tags).iter().for_each(|unused| {
                note(format_args!("{}: so far {unused}", self.source));
            });
        }
        report_values(&self.source, &reading.feed.news());
        Ok(going)
    }

    fn look_at_file(&mut self, path: &PathBuf, options: &Options) -> Result<()> {
        let mut file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if !std::mem::replace(&mut self.waiting, true) {
                    note(format_args!("{}: waiting for it to appear", self.source));
                }
                return Ok(());
            }
            file => file.doing("read", path)?,
        };
        let metadata = file.metadata().doing("read", path)?;
        if metadata.is_dir() {
            // The path is now a folder of runs, which are found as separate inputs.
            return Ok(());
        }
        self.waiting = false;
        if let Some(reading) = &self.reading
            && !reading.goes_on(&mut file, &metadata).doing("read", path)?
        {
            note(format_args!(
                "{}: it was cut back or replaced; reading it again",
                self.source
            ));
            self.reading = None;
        }
        // An empty file is about to be written.
        if metadata.len() == 0 {
            return Ok(());
        }
        let reading = self.reading.get_or_insert_with(|| {
            Reading::new(
                &self.source,
                Sink::new((self.target)(&self.source), now()),
                options,
                identity(&metadata),
            )
        });
        file.seek(SeekFrom::Start(reading.offset)).doing("read", path)?;
        reading.sink.set_now(now());
        let mut piece = vec![0; 1 << 18];
        loop {
            let n = file.read(&mut piece).doing("read", path)?;
            if n == 0 || interrupt::requested() {
                return Ok(());
            }
            reading.take(&piece[..n]).map_err(|e| e.within(&self.source))?;
        }
    }

    fn drain_pipe(&mut self, options: &Options) -> Result<bool> {
        let Input::Pipe(pieces) = &self.input else { return Ok(false) };
        let reading = self.reading.get_or_insert_with(|| {
            let sink = Sink::new((self.target)(&self.source), now());
            Reading::new(&self.source, sink, options, None)
        });
        reading.sink.set_now(now());
        loop {
            match pieces.try_recv() {
                Ok(Ok(piece)) => {
                    reading.take(&piece).map_err(|e| e.within(&self.source))?;
                }
                Ok(Err(e)) => {
                    return Err(Error::io(
                        format_args!("cannot read {}", self.source),
                        e,
                    ));
                }
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => {
                    let Reading { feed, sink, .. } = reading;
                    feed.finish(&mut |point| sink.push(point))
                        .map_err(|e| e.within(&self.source))?;
                    self.input = Input::Ended;
                    return match reading.feed.emptiness() {
                        Some(why) => Err(Error::failed(why).within(&self.source)),
                        None => Ok(false),
                    };
                }
            }
        }
    }
}

impl Reading {
    fn new(
        source: &Source,
        sink: Sink,
        options: &Options,
        identity: Option<(u64, u64)>,
    ) -> Self {
        let feed = Feed::of(source, options);
        Self { feed, sink, reported: false, identity, offset: 0, tail: Vec::new() }
    }

    /// Whether the file is still the one that was read, and still has the bytes that were
    /// read.
    fn goes_on(&self, file: &mut File, metadata: &Metadata) -> io::Result<bool> {
        if identity(metadata) != self.identity || metadata.len() < self.offset {
            return Ok(false);
        }
        let mut tail = vec![0; self.tail.len()];
        file.seek(SeekFrom::Start(self.offset - self.tail.len() as u64))?;
        match file.read_exact(&mut tail) {
            // The file was truncated just now.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| tail == self.tail),
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        let Self { feed, sink, .. } = self;
        feed.feed(piece, &mut |point| sink.push(point))?;
        self.offset += piece.len() as u64;
        let start = piece.len().saturating_sub(TAIL);
        self.tail.extend_from_slice(&piece[start..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(())
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self { identity: identity(metadata), length: metadata.len() }
    }
}

/// Identifies a file: its device and inode, if the system has them.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// Identifies a file: its device and inode, if the system has them.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Reads standard input in its own thread, so that Ctrl-C works while no input comes.
fn pump_stdin() -> Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = mpsc::sync_channel(16);
    parallel::spawn(move || {
        let mut stdin = io::stdin();
        let mut piece = vec![0; 1 << 16];
        loop {
            let sent = match stdin.read(&mut piece) {
                Ok(0) => return,
                Ok(n) => sender.send(Ok(piece[..n].to_vec())),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(e) => sender.send(Err(e)),
            };
            if sent.is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
