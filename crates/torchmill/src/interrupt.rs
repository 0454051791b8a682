//! Ctrl-C and SIGTERM: the first asks the work to stop in an orderly way, the second ends
//! the process.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts listening for Ctrl-C and SIGTERM. Call it once, before the work begins.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handler = || {
            if REQUESTED.swap(true, Ordering::SeqCst) {
                // Asked twice: the user does not want to wait. Files are renamed into
                // place when complete, so nothing half-written is left under a final
                // name.
                std::process::exit(130);
            }
        };
        // Without a handler the default action ends the process, which loses nothing but
        // tidiness.
        let _ = ctrlc::set_handler(handler);
    });
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// `Err(Interrupted)` once the user has asked to stop: call it between units of work.
pub fn check() -> Result<()> {
    if requested() { Err(Error::interrupted("interrupted")) } else { Ok(()) }
}
