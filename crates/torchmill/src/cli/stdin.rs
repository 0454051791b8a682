//! Standard input that Ctrl-C interrupts.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd};

use crate::{Error, Result, interrupt};

/// How long to wait for input before checking whether the user has asked to stop, in
/// milliseconds.
const WAIT: i32 = 100;

/// Standard input, unbuffered. Reading fails once the user asks to stop; a plain `read`
/// would keep waiting for input.
pub struct Stdin {
    file: File,
}

/// Opens standard input for reading.
pub fn stdin() -> Result<Stdin> {
    let file = io::stdin().as_fd().try_clone_to_owned();
    let file = file.map_err(|e| Error::io("cannot read standard input", e))?;
    Ok(Stdin { file: File::from(file) })
}

impl Stdin {
    /// Whether standard input is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Waits until there is input, or it has ended.
    fn wait(&self) -> io::Result<()> {
        let mut input =
            libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            interrupt::check().map_err(io::Error::other)?;
            // SAFETY: poll reads and writes the one structure, which is valid.
            match unsafe { libc::poll(&raw mut input, 1, WAIT) } {
                0 => {}
                n if n > 0 => return Ok(()),
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }
}

impl Read for Stdin {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        self.file.read(bytes)
    }
}
