//! The system's limits on a process (`ulimit`), checked before the work begins: beyond
//! them the system, or a library, would end the process without an error message.

use std::ffi::c_int;

use crate::{Error, Result};

/// The smallest stack that a program works with, in KiB. Builds without optimization need
/// more than 256 KiB.
const LEAST_STACK: u64 = 512;
/// The smallest address space that libtorch works with, in KiB.
const LEAST_MEMORY: u64 = 1 << 20;
/// The path of the working folder must be shorter than this, in bytes.
const LONGEST_PATH: usize = libc::PATH_MAX as usize;
/// The most threads that variables such as `OMP_NUM_THREADS` may ask for.
pub const MOST_THREADS: usize = 1024;
/// The variables by which users choose numbers of threads.
pub(crate) const THREAD_VARIABLES: [&str; 3] =
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Refuses a stack that is too small (`ulimit -s`).
pub(crate) fn check_stack() -> Result<()> {
    // SAFETY: getrlimit only writes to the limit, which is valid during the call.
    let stack = limit(|limit| unsafe { libc::getrlimit(libc::RLIMIT_STACK, limit) });
    check("stack", "ulimit -s", stack, LEAST_STACK)
}

/// Rejects an address space that is too small for libtorch (`ulimit -v`).
pub(crate) fn check_memory() -> Result<()> {
    // SAFETY: as above.
    let memory = limit(|limit| unsafe { libc::getrlimit(libc::RLIMIT_AS, limit) });
    check("memory", "ulimit -v", memory, LEAST_MEMORY)
}

/// Rejects a working folder whose path is longer than system calls accept: libraries
/// would fail in unpredictable places.
pub(crate) fn check_working_folder() -> Result<()> {
    // A folder that was removed has no path; programs work without one.
    let Ok(folder) = std::env::current_dir() else { return Ok(()) };
    check_length(folder.as_os_str().len())
}

fn check_length(length: usize) -> Result<()> {
    if length < LONGEST_PATH {
        return Ok(());
    }
    Err(Error::failed(format_args!(
        "the path of the working folder has {length} bytes, and the system takes fewer \
         than {LONGEST_PATH}: work in a folder with a shorter path"
    )))
}

fn check(what: &str, command: &str, limit: Option<u64>, least: u64) -> Result<()> {
    match limit {
        Some(limit) if limit < least => Err(Error::failed(format_args!(
            "the {what} is limited to {limit} KiB ({command}), and at least {least} KiB \
             are needed: raise the limit"
        ))),
        _ => Ok(()),
    }
}

/// A limit in KiB. `None` if it is unlimited or cannot be read.
fn limit(read: impl Fn(*mut libc::rlimit) -> c_int) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let failed = read(&raw mut limit) != 0;
    if failed || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    Some(limit.rlim_cur / 1024)
}

/// The number of threads that a variable requests, at most [`MOST_THREADS`]. `None`
/// unless it is set to a number of at least 1.
pub(crate) fn threads_of(variable: &str) -> Option<usize> {
    let number: usize = std::env::var(variable).ok()?.trim().parse().ok()?;
    if number == 0 { None } else { Some(number.min(MOST_THREADS)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_folder_that_is_too_deep_is_refused() {
        check_length(LONGEST_PATH - 1).unwrap();
        let error = check_length(6042).unwrap_err().to_string();
        let expected = "the path of the working folder has 6042 bytes";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_limit_that_is_too_low_is_named() {
        check("stack", "ulimit -s", None, 512).unwrap();
        check("stack", "ulimit -s", Some(512), 512).unwrap();
        let error = check("stack", "ulimit -s", Some(64), 512).unwrap_err();
        assert!(error.to_string().starts_with("the stack is limited to 64 KiB (ulimit"));
    }
}
