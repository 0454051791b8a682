//! How the process treats memory that it has freed.

/// Makes the C library keep freed memory for the next tensor or image instead of
/// returning it to the system.
///
/// A training step, or an image on its way through a pipeline, frees and asks for the
/// same few megabytes again and again. By default each such block is mapped and unmapped,
/// and every page of it is cleared and faulted in anew: that was a quarter of the
/// processor time of training with bf16, and an eighth of preparing photographs. Call it
/// once at start.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets parameters of the allocator, and these are valid ones.
    unsafe {
        // A threshold for mapped blocks would not be enough: it may be 32 MiB at most,
        // and a batch of photographs is larger. Blocks of more than 64 MiB are still
        // mapped in threads other than the first: glibc has no larger heaps for these.
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
