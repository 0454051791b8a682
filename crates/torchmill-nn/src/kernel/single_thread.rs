//! How many of libtorch's threads a thread uses.

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
}
