//! Downloads: several files at a time, each from the best source that has it.

pub mod address;
pub mod client;
mod failure;
pub mod page;
mod part;
pub mod probe;
mod retry;
mod token;
mod transfer;

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use torchmill::progress::{Progress, Unit};
use torchmill::{Error, interrupt, parallel};

pub use client::RetryPolicy;
pub use failure::Fault;
pub use token::Token;
pub use transfer::{Event, FileSpec, Received, download};

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No source has the file.
    #[error("{message}")]
    Sources {
        /// The answer of each source.
        message: String,
        /// What is wrong with those that need not be asked again.
        faults: Vec<Fault>,
    },
    /// The problem is on this machine: the disk, or Ctrl-C.
    #[error(transparent)]
    Local(#[from] Error),
}

impl From<DownloadError> for Error {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Sources { message, .. } => Self::failed(message),
            DownloadError::Local(error) => error,
        }
    }
}

/// A file to download, and its destination. The alternatives have the same contents in
/// other packaging; the first one available is downloaded.
#[derive(Debug, Clone)]
pub struct Job {
    /// At least one.
    pub alternatives: Vec<(FileSpec, PathBuf)>,
}

impl Job {
    /// Keeps only the sources on this machine, and the alternatives that have one.
    pub fn keep_local(&mut self) {
        for (spec, _) in &mut self.alternatives {
            spec.urls.retain(|url| address::local_path(url).is_some());
        }
        self.alternatives.retain(|(spec, _)| !spec.urls.is_empty());
    }
}

/// The sum of the sizes, if all are known. Sizes that others state may add up to more
/// than a `u64` holds; the sum is then its largest value.
pub fn total_size(sizes: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    let mut total: u64 = 0;
    for size in sizes {
        total = total.saturating_add(size?);
    }
    Some(total)
}

/// A file that was downloaded.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// Its name.
    pub file: String,
    /// Where it is.
    pub path: PathBuf,
    /// Where it came from and its checksum.
    pub received: Received,
}

/// The URLs of a file at mirrors: `MIRROR/NAME/FILE` and `MIRROR/FILE`, or `MIRROR`
/// itself if that ends with the file's name.
pub fn at_mirrors(mirrors: &[String], name: &str, file: &str) -> Vec<String> {
    let mut urls = Vec::new();
    for mirror in mirrors {
        let base = mirror.trim_end_matches('/');
        if base.rsplit('/').next() == Some(file) {
            urls.push(base.to_owned());
        } else {
            urls.push(format!("{base}/{name}/{file}"));
            urls.push(format!("{base}/{file}"));
        }
    }
    urls
}

/// How many files are downloaded at a time. With more, servers start to refuse.
const AT_A_TIME: usize = 4;

enum Message {
    Event(usize, Event),
    Done(usize, Result<Downloaded, DownloadError>),
}

/// Runs the jobs, several at a time, and returns the downloaded files in the order of the
/// jobs. The first failure ends it; partial downloads of other jobs are kept for the next
/// try.
pub fn run(
    what: &str,
    jobs: &[Job],
    policy: &RetryPolicy,
) -> Result<Vec<Downloaded>, DownloadError> {
    let agent = client::agent(policy);
    let (send, receive) = mpsc::channel();
    let start = |number: usize| {
        start_job(
            number,
            jobs[number].clone(),
            agent.clone(),
            policy.clone(),
            send.clone(),
        )
    };
    let mut bar = Bar::new(what, jobs);
    let mut downloaded: Vec<Option<Downloaded>> = vec![None; jobs.len()];
    let mut next = jobs.len().min(AT_A_TIME);
    for number in 0..next {
        start(number)?;
    }
    while downloaded.iter().any(Option::is_none) {
        match receive.recv_timeout(Duration::from_millis(100)) {
            Ok(Message::Event(number, event)) => bar.show(number, event),
            Ok(Message::Done(number, result)) => {
                downloaded[number] = Some(result?);
                if next < jobs.len() {
                    start(next)?;
                    next += 1;
                }
            }
            Err(RecvTimeoutError::Timeout) => interrupt::check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::failed("a download ended unexpectedly").into());
            }
        }
    }
    bar.finish();
    Ok(downloaded.into_iter().flatten().collect())
}

/// Runs a job in its own thread. After an error the thread is not joined: a thread that
/// waits for a server must not delay Ctrl-C.
fn start_job(
    number: usize,
    job: Job,
    agent: ureq::Agent,
    policy: RetryPolicy,
    send: mpsc::Sender<Message>,
) -> Result<(), Error> {
    parallel::spawn(move || {
        let report = |event| drop(send.send(Message::Event(number, event)));
        let result = run_job(&agent, job, &policy, &report);
        drop(send.send(Message::Done(number, result)));
    })?;
    Ok(())
}

fn run_job(
    agent: &ureq::Agent,
    job: Job,
    policy: &RetryPolicy,
    report: &dyn Fn(Event),
) -> Result<Downloaded, DownloadError> {
    let mut messages = Vec::new();
    let mut all_faults = Vec::new();
    for (spec, path) in job.alternatives {
        match download(agent, &spec, &path, policy, report) {
            Ok(received) => return Ok(Downloaded { file: spec.name, path, received }),
            Err(DownloadError::Sources { message, faults }) => {
                messages.push(message);
                all_faults.extend(faults);
            }
            Err(error) => return Err(error),
        }
    }
    let message = messages.join("; ");
    Err(DownloadError::Sources { message, faults: all_faults })
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
            jobs.iter().map(|j| j.alternatives.first().and_then(|(spec, _)| spec.size));
        Self {
            what: what.to_owned(),
            known: total_size(sizes),
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
            Event::Position(at) => {
                let before = std::mem::replace(&mut self.at[number], at);
                let bar = self.bar.get_or_insert_with(|| {
                    Progress::new(&self.what, self.known, Unit::Bytes)
                });
                // The first position is where an earlier download stopped. A lower
                // position means a restart.
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
