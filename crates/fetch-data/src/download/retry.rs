//! Trying sources again: which are worth another try, and how long to wait before it.

use std::thread;
use std::time::{Duration, Instant};

use torchmill::{Error, interrupt};

use super::failure::{Failure, Fault};
use super::transfer::Event;
use super::{RetryPolicy, address};

/// The rounds in which sources are tried, with a wait between two of them.
pub(super) struct Rounds<'a> {
    policy: &'a RetryPolicy,
    begun: u32,
    backoff: Duration,
    asked_wait: Duration,
}

impl<'a> Rounds<'a> {
    pub fn new(policy: &'a RetryPolicy) -> Self {
        let backoff = policy.backoff;
        Self { policy, begun: 0, backoff, asked_wait: Duration::ZERO }
    }

    /// Begins the next round, after a wait unless it is the first. Returns false if there
    /// is none.
    pub fn begin(&mut self) -> Result<bool, Error> {
        if self.begun == self.policy.rounds {
            return Ok(false);
        }
        if self.begun > 0 {
            sleep(self.asked_wait.max(self.backoff).min(self.policy.max_wait))?;
            self.backoff *= 2;
            self.asked_wait = Duration::ZERO;
        }
        self.begun += 1;
        Ok(true)
    }

    /// Waits at least this long before the next round, because a server asked for it.
    pub fn ask_for(&mut self, wait: Duration) {
        self.asked_wait = self.asked_wait.max(wait);
    }
}

/// A source of a file or of a page.
pub(super) struct Source<'a> {
    pub url: &'a str,
    /// Why the last try failed.
    pub why: String,
    /// Why it need not be tried again.
    pub fault: Option<Fault>,
    /// How often it could not be reached.
    unreachable: u32,
}

impl<'a> Source<'a> {
    pub fn new(url: &'a str) -> Self {
        Self { url, why: "not tried".to_owned(), fault: None, unreachable: 0 }
    }

    /// Whether it is worth another try. A source that has not answered twice is given up.
    pub fn is_usable(&self) -> bool {
        self.fault.is_none() && self.unreachable < 2
    }

    /// Records a failure, tells the user if it is a new one, and returns the wait that
    /// the server asked for.
    pub fn note(
        &mut self,
        failure: Failure,
        report: &dyn Fn(Event),
    ) -> Result<Duration, Error> {
        let mut asked_wait = Duration::ZERO;
        let why = match failure {
            Failure::Wrong { why, fault } => {
                self.fault = Some(fault);
                why
            }
            Failure::Unreachable(why) => {
                self.unreachable += 1;
                why
            }
            Failure::Temporary { why, wait } => {
                asked_wait = wait;
                why
            }
            Failure::Local(error) => return Err(error),
        };
        if why != self.why {
            let url = address::without_query(self.url);
            report(Event::Note(format!("{url}: {why}")));
            self.why = why;
        }
        Ok(asked_wait)
    }
}

/// Sleeps in short intervals, so that Ctrl-C takes effect.
pub(super) fn sleep(time: Duration) -> Result<(), Error> {
    let end = Instant::now() + time;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}
