//! Each process signals at the store that it is alive, and reports there why it ends.
//! When c10d loses a connection, the lost process and its rank are found this way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use torchmill::{Error, ErrorKind, Result, parallel};

use super::ranks_have;
use super::store::Store;

/// How often a process signals that it is alive.
const BEAT: Duration = Duration::from_millis(250);
/// A process without a signal for this long has been killed, or hangs.
const LIFETIME: Duration = Duration::from_secs(3);
/// How long rank 0 waits for the other processes to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a process waits for the store's answers when another process is lost.
const ANSWER: Duration = Duration::from_secs(5);

/// This process's presence at the store.
pub(super) struct Presence {
    board: Arc<Board>,
    is_over: Arc<AtomicBool>,
    /// Whether the process that hosts the store did not answer. Any other call would wait
    /// for it without a limit.
    is_store_lost: AtomicBool,
}

/// What the processes tell each other at the store.
struct Board {
    store: Store,
    prefix: String,
    rank: u32,
    size: u32,
}

impl Presence {
    /// Starts a thread that signals that this process is alive. `store` must be a
    /// separate connection: c10d's other calls may wait while they hold the lock of
    /// theirs.
    pub(super) fn start(store: Store, prefix: &str, rank: u32, size: u32) -> Self {
        let board = Arc::new(Board { store, prefix: prefix.to_owned(), rank, size });
        let is_over = Arc::new(AtomicBool::new(false));
        let beating = Arc::clone(&board);
        let stopped = Arc::clone(&is_over);
        let key = alive_key(prefix, rank);
        let beat = move || {
            let mut count = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                count += 1;
                if beating.store.set(&key, &count.to_string()).is_err() {
                    return;
                }
                thread::sleep(BEAT);
            }
        };
        // If the thread cannot be started, the others blame this process when they lose
        // any process.
        let _ = parallel::spawn(beat);
        Self { board, is_over, is_store_lost: AtomicBool::new(false) }
    }

    /// Fails if another process has reported why it ends.
    pub(super) fn check(&self) -> Result<()> {
        match self.board.failure()? {
            Some(failure) => Err(Error::new(ErrorKind::Disconnected, failure)),
            None => Ok(()),
        }
    }

    /// The error to report. If `error` says that another process is lost, this finds out
    /// which one, and why.
    pub(super) fn explained(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Disconnected { self.explain(error) } else { error }
    }

    /// Reports to the others why this process ends.
    pub(super) fn tell(&self, error: &Error) {
        if !self.is_store_lost.load(Ordering::Relaxed) {
            self.board.tell(error);
        }
    }

    /// Reports that this process ends. Rank 0, which may host the store, waits until all
    /// others have reported the same or are lost.
    pub(super) fn leave(&self) {
        if !self.is_store_lost.load(Ordering::Relaxed) {
            self.board.leave();
        }
    }

    /// Finds which process is lost, and why.
    fn explain(&self, error: Error) -> Error {
        match self.look_for_cause() {
            Ok(Some(cause)) => Error::new(ErrorKind::Disconnected, cause),
            Ok(None) => error,
            Err(_) if self.board.rank != 0 => {
                Error::new(ErrorKind::Disconnected, lost(&[0]))
            }
            Err(_) => error,
        }
    }

    /// Looks for the cause at the store. Fails if the store does not answer in time: c10d
    /// waits for its answers without a limit, so another thread asks.
    fn look_for_cause(&self) -> Result<Option<String>> {
        let (sender, receiver) = mpsc::channel();
        let board = Arc::clone(&self.board);
        parallel::spawn(move || sender.send(board.find_cause()))?;
        receiver.recv_timeout(LIFETIME + ANSWER).unwrap_or_else(|_| {
            self.is_store_lost.store(true, Ordering::Relaxed);
            Err(Error::new(ErrorKind::Disconnected, "the store does not answer"))
        })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Board {
    /// The reason that another process has reported for its end.
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

    fn tell(&self, error: &Error) {
        // If another process has reported a reason, repeat it: all name the first cause.
        let told = if error.kind() == ErrorKind::Disconnected {
            error.to_string()
        } else {
            format!("rank {} has ended: {error}", self.rank)
        };
        let _ = self.store.set(&failure_key(&self.prefix, self.rank), &told);
    }

    fn leave(&self) {
        let _ = self.store.set(&left_key(&self.prefix, self.rank), "");
        if self.rank == 0 {
            self.wait_for_others();
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
        let mut silent = Vec::new();
        for rank in 0..self.size {
            if before[rank as usize] == after[rank as usize] {
                silent.push(rank);
            }
        }
        Ok((!silent.is_empty()).then(|| lost(&silent)))
    }

    /// How many times each process has signalled; `None` if it has not.
    fn beats(&self) -> Result<Vec<Option<String>>> {
        let mut beats = Vec::new();
        for rank in 0..self.size {
            beats.push(self.store.get(&alive_key(&self.prefix, rank))?);
        }
        Ok(beats)
    }

    /// Waits until the others have reported that they end, or are lost.
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

/// The message about processes that are lost.
fn lost(ranks: &[u32]) -> String {
    let hangs = if ranks.len() == 1 { "hangs" } else { "hang" };
    format!("{} been killed, {hangs} or cannot be reached", ranks_have(ranks))
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
