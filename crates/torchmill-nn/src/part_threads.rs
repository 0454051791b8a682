//! Threads that compute the parts of a batch, each part on one thread.
//!
//! If libtorch divides each operation among its threads, they wait for each other at the
//! end of every operation. On a busy machine, a thread often waits for another one that is
//! not scheduled. Threads that compute whole parts wait once in a step.

use std::sync::{Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};
use torchmill::{Error, Result};

use crate::loss::Loss;
use crate::model::Model;
use crate::tensor_access::ReadOnly;

pub use crate::kernel::single_thread::SingleThreads;

/// Threads on which libtorch computes each operation on the thread that calls it.
pub struct PartThreads {
    pool: ThreadPool,
}

impl PartThreads {
    /// Starts this many threads.
    ///
    /// # Errors
    /// If the system cannot start them.
    pub fn start(count: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(count).build().map_err(|e| {
            Error::failed(format_args!("cannot start {count} threads: {e}"))
                .with_advice("give --threads a smaller number")
        })?;
        Ok(Self { pool })
    }

    /// The number of threads.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Calls `compute` with each part on a thread of its own. Returns the results in the
    /// order of the parts. libtorch's threads are off on these threads, and on the calling
    /// one as long as `single` lives.
    ///
    /// # Errors
    /// The error of the first part that fails. It also fails if there are more parts than
    /// threads, or if the network needs the whole batch ([`Model::needs_whole_batch`]).
    pub fn compute<P: Send, T: Send>(
        &self,
        single: &SingleThreads,
        (network, loss): (&Model, &dyn Loss),
        parts: Vec<P>,
        compute: impl Fn(&Model, &dyn Loss, P) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        if network.needs_whole_batch() || parts.len() > self.count() {
            return Err(Error::failed("the batch cannot be divided among the threads"));
        }
        let shared = ReadOnly::new((network, loss));
        let mut waiting = Vec::new();
        for part in parts {
            waiting.push(Mutex::new(Some(part)));
        }
        // Threads that took parts from a queue would be woken one by the other, which takes
        // long on a busy machine.
        let computed = self.pool.broadcast(|thread| {
            let part = waiting.get(thread.index())?;
            let part = part.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            single.enter();
            let (network, loss) = *shared;
            Some(compute(network, loss, part))
        });
        computed.into_iter().flatten().collect()
    }
}
