//! Runs work on several threads and returns the results in order.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};

use crate::{Error, ErrorKind, Result, interrupt, limits};

/// Tells the threads that their results are no longer needed.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Fails if the work has been cancelled or the user has asked to stop. Long
    /// computations call it from time to time.
    pub fn check(&self) -> Result<()> {
        interrupt::check()?;
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        Ok(())
    }

    /// Cancels the work.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts the threads of rayon's pool: as many as `RAYON_NUM_THREADS` says or as there
/// are cores, or fewer if the system cannot start more. Call it before using rayon, which
/// would panic if it could not start all of its threads.
///
/// # Errors
/// If not even one thread can be started.
pub fn start_pool() -> Result<()> {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = limits::threads_of("RAYON_NUM_THREADS").unwrap_or_else(cores);
    // Threads are started first and get their work from rayon later, because rayon must
    // know their number.
    let mut waiting = Vec::new();
    for _ in 0..wanted {
        let (sender, receiver) = mpsc::channel::<rayon::ThreadBuilder>();
        let started = spawn(move || {
            if let Ok(worker) = receiver.recv() {
                worker.run();
            }
        });
        match started {
            Ok(_) => waiting.push(sender),
            Err(e) if waiting.is_empty() => return Err(e),
            Err(_) => break,
        }
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(waiting.len());
    let pool = pool.spawn_handler(|worker| match waiting.pop() {
        Some(sender) => sender.send(worker).map_err(|_| io::ErrorKind::BrokenPipe.into()),
        None => Err(io::ErrorKind::WouldBlock.into()),
    });
    // It fails if the pool has been started before.
    let _ = pool.build_global();
    Ok(())
}

/// Starts a thread.
///
/// # Errors
/// If the system cannot start another; `std::thread::spawn` would panic.
pub fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    thread::Builder::new().spawn(work).map_err(no_thread)
}

/// Starts a thread in a scope, as [`spawn`] does.
pub fn spawn_scoped<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work).map_err(no_thread)
}

fn no_thread(error: io::Error) -> Error {
    Error::io("cannot start a thread", error)
}

/// Calls `compute` with 0 to `count - 1` on this many threads, and `each` with the
/// results, in order, on the calling thread. The first error in order ends the work, and
/// so does an error of `each`: `compute`'s [`Stop`] is then set.
///
/// At most two results per thread are computed ahead of the one that `each` gets. If the
/// system cannot start all threads, fewer are used, or only the calling one.
pub fn in_order<T: Send>(
    threads: usize,
    count: usize,
    compute: impl Fn(usize, &Stop) -> Result<T> + Sync,
    mut each: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let stop = Stop::default();
    let threads = threads.min(count);
    let (numbers, queue) = mpsc::channel();
    let queue = Mutex::new(queue);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        // Both end the threads however this closure ends.
        let _stop = StopOnDrop(&stop);
        let numbers = numbers;
        let mut started = 0;
        for _ in 0..threads {
            let sender = sender.clone();
            let work = || work(&queue, sender, |i| compute(i, &stop));
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
            started += 1;
        }
        drop(sender);
        if started == 0 {
            return (0..count).try_for_each(|i| each(compute(i, &stop)?));
        }
        let ahead = (2 * started).min(count);
        for i in 0..ahead {
            // The threads end only after this channel does.
            let _ = numbers.send(i);
        }
        let mut waiting = BTreeMap::new();
        for wanted in 0..count {
            let outcome = next(wanted, &mut waiting, &results);
            let result = outcome.unwrap_or_else(|panic| panic::resume_unwind(panic));
            each(result?)?;
            if wanted + ahead < count {
                let _ = numbers.send(wanted + ahead);
            }
        }
        Ok(())
    })
}

/// A result, or the payload of a panic.
type Outcome<T> = thread::Result<Result<T>>;

/// The work of one thread: takes numbers until there are no more.
fn work<T>(
    queue: &Mutex<mpsc::Receiver<usize>>,
    sender: mpsc::Sender<(usize, Outcome<T>)>,
    compute: impl Fn(usize) -> Result<T>,
) {
    loop {
        let number = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(i) = number else { return };
        // A panic must reach the thread that waits for this result.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| compute(i)));
        if sender.send((i, outcome)).is_err() {
            return;
        }
    }
}

/// Waits for the outcome of one number; outcomes that come early go to `waiting`.
fn next<T>(
    wanted: usize,
    waiting: &mut BTreeMap<usize, Outcome<T>>,
    results: &mpsc::Receiver<(usize, Outcome<T>)>,
) -> Outcome<T> {
    loop {
        if let Some(outcome) = waiting.remove(&wanted) {
            return outcome;
        }
        match results.recv() {
            Ok((i, outcome)) => {
                waiting.insert(i, outcome);
            }
            Err(mpsc::RecvError) => {
                return Err(Box::new("a thread ended early") as Box<dyn Any + Send>);
            }
        }
    }
}

struct StopOnDrop<'a>(&'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        for threads in 0..5 {
            let mut seen = Vec::new();
            let square = |i: usize, _: &Stop| {
                thread::sleep(Duration::from_millis([3, 0, 1][i % 3]));
                Ok(i * i)
            };
            in_order(threads, 20, square, |square| {
                seen.push(square);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..20).map(|i| i * i).collect::<Vec<_>>());
        }
        let nothing = |()| Err(Error::failed("there is nothing"));
        in_order(3, 0, |_, _| Ok(()), nothing).unwrap();
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        let compute = |i, _: &Stop| {
            if i % 10 == 7 { Err(Error::failed(i)) } else { Ok(i) }
        };
        let mut seen = 0;
        let error = in_order(3, 1000, compute, |_| {
            seen += 1;
            Ok(())
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), seen), ("7", 7));
    }

    #[test]
    fn an_error_of_the_receiver_calls_the_work_off() {
        let compute = |i, stop: &Stop| {
            if i <= 5 {
                return Ok(i);
            }
            loop {
                stop.check()?;
                thread::yield_now();
            }
        };
        let error = in_order(3, 1000, compute, |i| {
            if i == 5 { Err(Error::failed("enough")) } else { Ok(()) }
        });
        assert_eq!(error.unwrap_err().to_string(), "enough");
    }

    #[test]
    fn work_is_not_done_far_ahead() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let compute = |_, _: &Stop| Ok(done.fetch_add(1, Ordering::SeqCst));
        let mut taken = 0;
        in_order(2, 100, compute, |_| {
            taken += 1;
            thread::sleep(Duration::from_millis(1));
            assert!(done.load(Ordering::SeqCst) < taken + 4);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    #[should_panic(expected = "a worker's panic")]
    fn a_panic_is_passed_on() {
        let compute = |i, _: &Stop| {
            assert!(i != 3, "a worker's panic");
            Ok(())
        };
        let _ = in_order(2, 10, compute, |()| Ok(()));
    }
}
