//! Ctrl-C and SIGTERM: the first asks the work to stop in an orderly way, the second ends
//! the process. A signal that was ignored when the program was started (by `nohup`, or for
//! a background job of a script) stays ignored.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The signals that ctrlc handles.
const SIGNALS: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Starts listening for Ctrl-C and SIGTERM. Call it once, before the work begins.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored: Vec<c_int> =
            SIGNALS.into_iter().filter(|&signal| is_ignored(signal)).collect();
        // Without a handler, the default action ends the process, which loses only the
        // orderly end.
        let _ = ctrlc::set_handler(handle);
        ignored.into_iter().for_each(ignore);
    });
}

fn handle() {
    if REQUESTED.swap(true, Ordering::SeqCst) {
        // Asked twice: the user does not want to wait. Files are renamed into place when
        // complete, so nothing half-written is left under a final name. `exit` would run
        // libraries' destructors while threads still use what they destroy.
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(130) };
    }
}

/// Whether a signal is currently ignored.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, sigaction only writes the present one to `action`,
    // which is zeroed, and so valid, even if it fails.
    unsafe {
        let failed = libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0;
        !failed && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn ignore(signal: c_int) {
    // SAFETY: SIG_IGN is a valid action for these signals.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// `Err(Interrupted)` once the user has asked to stop: call it between units of work.
pub fn check() -> Result<()> {
    if requested() { Err(Error::interrupted("interrupted")) } else { Ok(()) }
}
