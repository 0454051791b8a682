//! Turns off libtorch's own threads for a while.

/// While this lives, libtorch computes each operation on the thread that calls it, if that
/// thread is this one or first uses libtorch while a `SingleThreads` lives.
pub(crate) struct SingleThreads(i32);

impl SingleThreads {
    pub(crate) fn start() -> Self {
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
