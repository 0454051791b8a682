//! How many of libtorch's threads a thread uses.

use std::thread::{self, ThreadId};

use super::bridge::ffi;

/// While this lives, libtorch computes each operation on the thread that calls it, if that
/// is this thread or one that calls [`SingleThreads::enter`].
pub struct SingleThreads(i32);

impl SingleThreads {
    /// Turns libtorch's threads off.
    pub fn start() -> Self {
        let threads = tch::get_num_threads();
        ffi::use_single_thread();
        Self(threads)
    }

    /// Turns libtorch's threads off for the thread that calls this.
    pub(crate) fn enter(&self) {
        ffi::use_single_thread();
    }
}

impl Drop for SingleThreads {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}

/// While this lives, libtorch computes each operation on the thread that calls it, if that
/// is one that calls [`SingleHelpers::enter`]. The thread that created this keeps
/// libtorch's threads.
pub(crate) struct SingleHelpers {
    owner: ThreadId,
    threads: i32,
}

impl SingleHelpers {
    /// The calling thread keeps libtorch's threads.
    pub(crate) fn start() -> Self {
        // The first operation of this thread would otherwise take the number that a helper
        // has set by then.
        drop(SingleThreads::start());
        Self { owner: thread::current().id(), threads: tch::get_num_threads() }
    }

    /// Turns libtorch's threads off for the thread that calls this.
    pub(crate) fn enter(&self) {
        // If no thread can be started, the owner does the helpers' work.
        if thread::current().id() != self.owner {
            ffi::use_single_thread();
        }
    }
}

impl Drop for SingleHelpers {
    /// Threads that are new from now on get libtorch's threads again.
    fn drop(&mut self) {
        tch::set_num_threads(self.threads);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_enters_computes_alone_and_the_first_gets_its_threads_back() {
        tch::set_num_threads(3);
        let single = SingleThreads::start();
        // As another thread may at any time: new threads take this number.
        tch::set_num_threads(2);
        let entered = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                single.enter();
                tch::get_num_threads()
            });
            worker.join().unwrap()
        });
        assert_eq!(entered, 1);
        drop(single);
        assert_eq!(tch::get_num_threads(), 3);
    }

    #[test]
    fn helpers_compute_alone_and_their_owner_does_not() {
        tch::set_num_threads(3);
        let helpers = SingleHelpers::start();
        let entered = thread::scope(|scope| {
            let helper = scope.spawn(|| {
                helpers.enter();
                tch::get_num_threads()
            });
            helper.join().unwrap()
        });
        helpers.enter();
        assert_eq!((entered, tch::get_num_threads()), (1, 3));
        drop(helpers);
        assert_eq!(tch::get_num_threads(), 3);
    }
}
