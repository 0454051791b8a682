//! What a process tells the others at the store: that it is alive, and why it ends. A
//! process that c10d says it has lost is found there by its rank.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use torchmill::{Error, ErrorKind, Result, parallel};

use super::ranks_have;
use super::store::Store;

/// How often a process says that it is alive.
const BEAT: Duration = Duration::from_millis(250);
/// A process that has not said so for this long has been killed, or hangs.
const LIFETIME: Duration = Duration::from_secs(3);
/// How long rank 0 waits for the others to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// This process's presence at the store.
pub(super) struct Presence {
    store: Arc<Store>,
    prefix: String,
    rank: u32,
    size: u32,
    is_over: Arc<AtomicBool>,
}

impl Presence {
    /// Starts to say that this process is alive, on a thread. `store` must be a connection
    /// of its own: c10d's other calls may wait with its lock held.
    pub(super) fn start(store: Store, prefix: &str, rank: u32, size: u32) -> Self {
        let store = Arc::new(store);
        let is_over = Arc::new(AtomicBool::new(false));
        let beating = Arc::clone(&store);
        let stopped = Arc::clone(&is_over);
        let key = alive_key(prefix, rank);
        let beat = move || {
            let mut count = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                count += 1;
                if beating.set(&key, &count.to_string()).is_err() {
                    return;
                }
                thread::sleep(BEAT);
            }
        };
        // If there is no thread to be had, the others name this process too soon when they
        // lose another.
        let _ = parallel::spawn(beat);
        Self { store, prefix: prefix.to_owned(), rank, size, is_over }
    }

    /// An error if another process has said why it ends.
    pub(super) fn check(&self) -> Result<()> {
        match self.failure()? {
            Some(failure) => Err(Error::new(ErrorKind::Disconnected, failure)),
            None => Ok(()),
        }
    }

    /// What another process has said of why it ends.
    fn failure(&self) -> Result<Option<String>> {
        for rank in 0..self.size {
            if rank != self.rank
                && let Some(why) = self.store.get(&failure_key(&self.prefix, rank))?
            {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// What to report for an error. For one that says that another process is lost, this
    /// finds out which, and why.
    pub(super) fn explained(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Disconnected { self.explain(error) } else { error }
    }

    /// Tells the others why this process ends.
    pub(super) fn tell(&self, error: &Error) {
        // What another process has said is repeated, so all name the first cause.
        let told = if error.kind() == ErrorKind::Disconnected {
            error.to_string()
        } else {
            format!("rank {} has ended: {error}", self.rank)
        };
        let _ = self.store.set(&failure_key(&self.prefix, self.rank), &told);
    }

    /// Says that this process ends. Rank 0, which may host the store, waits until all
    /// others have said so or are lost.
    pub(super) fn leave(&self) {
        let _ = self.store.set(&left_key(&self.prefix, self.rank), "");
        if self.rank == 0 {
            self.wait_for_others();
        }
    }

    /// Which process is lost, and why.
    fn explain(&self, error: Error) -> Error {
        match self.find_cause() {
            Ok(Some(cause)) => Error::new(ErrorKind::Disconnected, cause),
            Ok(None) => error,
            Err(_) if self.rank != 0 => Error::new(
                ErrorKind::Disconnected,
                "rank 0 has been killed or cannot be reached",
            ),
            Err(_) => error,
        }
    }

    fn find_cause(&self) -> Result<Option<String>> {
        let before = self.beats()?;
        let end = Instant::now() + LIFETIME;
        while Instant::now() < end {
            if let Some(failure) = self.failure()? {
                return Ok(Some(failure));
            }
            thread::sleep(BEAT / 2);
        }
        let after = self.beats()?;
        let mut lost = Vec::new();
        for rank in 0..self.size {
            if before[rank as usize] == after[rank as usize] {
                lost.push(rank);
            }
        }
        if lost.is_empty() {
            return Ok(None);
        }
        Ok(Some(format!("{} been killed, hangs or cannot be reached", ranks_have(&lost))))
    }

    /// How often each process has said that it is alive.
    fn beats(&self) -> Result<Vec<Option<String>>> {
        let mut beats = Vec::new();
        for rank in 0..self.size {
            beats.push(self.store.get(&alive_key(&self.prefix, rank))?);
        }
        Ok(beats)
    }

    /// Waits until the others have said that they end, or are lost.
    fn wait_for_others(&self) {
        let end = Instant::now() + FAREWELL;
        for rank in 1..self.size {
            let mut beat = None;
            let mut beaten = Instant::now();
            while Instant::now() < end && beaten.elapsed() < LIFETIME {
                if !matches!(self.store.get(&left_key(&self.prefix, rank)), Ok(None)) {
                    break;
                }
                let now = self.store.get(&alive_key(&self.prefix, rank)).ok();
                if now != beat {
                    beat = now;
                    beaten = Instant::now();
                }
                thread::sleep(BEAT / 5);
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn alive_key(prefix: &str, rank: u32) -> String {
    format!("{prefix}/alive/{rank}")
}

fn failure_key(prefix: &str, rank: u32) -> String {
    format!("{prefix}/failure/{rank}")
}

fn left_key(prefix: &str, rank: u32) -> String {
    format!("{prefix}/left/{rank}")
}
