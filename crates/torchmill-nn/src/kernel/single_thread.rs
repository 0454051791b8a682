//! How many of libtorch's threads a thread uses.

use super::bridge::ffi;

/// Makes libtorch compute each operation that this thread calls on this thread alone. A
/// [`SingleThreads`] must live: it restores the number of threads for new threads.
pub(crate) fn use_single_thread() {
    ffi::use_single_thread();
}

/// While this lives, libtorch computes each operation on the thread that calls it, if that
/// is this thread or one that first uses libtorch's threads now.
pub struct SingleThreads(i32);

impl SingleThreads {
    /// Turns libtorch's threads off.
    pub fn start() -> Self {
        let threads = tch::get_num_threads();
        tch::set_num_threads(1);
        Self(threads)
    }
}

impl Drop for SingleThreads {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}
