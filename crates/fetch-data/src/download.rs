//! Downloads: several files at a time, each from the best source that has it.

pub mod address;
pub mod client;
mod part;
pub mod probe;
mod transfer;

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

pub use client::Patience;
pub use transfer::{Arrived, Event, Want, download};

use torchmill::progress::{Progress, Unit};
use torchmill::{Error, Result, interrupt};

/// A file to download, and where it goes. The alternatives are editions of the same
/// contents, packed differently; the first that can be had is taken.
#[derive(Debug, Clone)]
pub struct Job {
    /// At least one.
    pub alternatives: Vec<(Want, PathBuf)>,
}

/// What became of a [`Job`].
#[derive(Debug, Clone)]
pub struct Got {
    /// Where the file lies.
    pub path: PathBuf,
    /// Where it came from and its checksum.
    pub arrived: Arrived,
}

/// How many files are downloaded at a time: more only makes servers refuse.
const AT_A_TIME: usize = 4;

enum Message {
    Event(usize, Event),
    Done(usize, Result<Got>),
}

/// Runs the jobs, some at a time, and returns what they got, in their order. The first
/// failure ends it; what the others have so far is kept for the next try.
pub fn run(what: &str, jobs: &[Job], patience: &Patience) -> Result<Vec<Got>> {
    let agent = client::agent(patience);
    let (send, receive) = mpsc::channel();
    let start = |number: usize| {
        let (job, agent, patience, send) =
            (jobs[number].clone(), agent.clone(), patience.clone(), send.clone());
        // Not scoped: a thread that waits for a server must not keep Ctrl-C waiting.
        thread::spawn(move || {
            let report = |event| drop(send.send(Message::Event(number, event)));
            let result = run_one(&agent, job, &patience, &report);
            drop(send.send(Message::Done(number, result)));
        });
    };
    let mut bar = Bar::new(what, jobs);
    let mut got: Vec<Option<Got>> = vec![None; jobs.len()];
    let mut next = jobs.len().min(AT_A_TIME);
    (0..next).for_each(start);
    while got.iter().any(Option::is_none) {
        match receive.recv_timeout(Duration::from_millis(100)) {
            Ok(Message::Event(number, event)) => bar.show(number, event),
            Ok(Message::Done(number, result)) => {
                got[number] = Some(result?);
                if next < jobs.len() {
                    start(next);
                    next += 1;
                }
            }
            Err(RecvTimeoutError::Timeout) => interrupt::check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::failed("a download ended unexpectedly"));
            }
        }
    }
    bar.finish();
    Ok(got.into_iter().flatten().collect())
}

fn run_one(
    agent: &ureq::Agent,
    job: Job,
    patience: &Patience,
    report: &dyn Fn(Event),
) -> Result<Got> {
    let mut failed = Vec::new();
    for (want, path) in job.alternatives {
        match download(agent, &want, &path, patience, report) {
            Ok(arrived) => return Ok(Got { path, arrived }),
            Err(Error::Failed(why)) => failed.push(why),
            Err(error) => return Err(error),
        }
    }
    Err(Error::failed(failed.join("; ")))
}

/// One bar for all files of a data set.
struct Bar {
    what: String,
    known: Option<u64>,
    at: Vec<u64>,
    bar: Option<Progress>,
}

impl Bar {
    fn new(what: &str, jobs: &[Job]) -> Self {
        let sizes =
            jobs.iter().map(|j| j.alternatives.first().and_then(|(want, _)| want.size));
        Self {
            what: what.to_owned(),
            known: sizes.sum(),
            at: vec![0; jobs.len()],
            bar: None,
        }
    }

    fn show(&mut self, number: usize, event: Event) {
        match event {
            Event::Total(total) if self.at.len() == 1 => {
                self.known = self.known.or(Some(total));
            }
            Event::Total(_) => {}
            Event::Note(line) => match &self.bar {
                Some(bar) => bar.line(line),
                None => torchmill::progress::note(line),
            },
            Event::At(at) => {
                let before = std::mem::replace(&mut self.at[number], at);
                let bar = self.bar.get_or_insert_with(|| {
                    Progress::new(&self.what, self.known, Unit::Bytes)
                });
                // The first position is where an earlier download stopped; a lower one is
                // a new start.
                if before == 0 || at < before {
                    bar.start_at(self.at.iter().sum());
                } else {
                    bar.add(at - before);
                }
            }
        }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish();
        }
    }
}
