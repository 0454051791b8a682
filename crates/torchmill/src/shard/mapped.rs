//! A file mapped into memory, and what happens if it is truncated while it is mapped.
//!
//! Reading a page that a mapped file no longer has raises SIGBUS. No check before the
//! read can prevent that, as the file may be truncated right after it. So this module
//! keeps a list of the mapped files, and its signal handler ends the program with status
//! 1 and a message that names the file. Every other SIGBUS is left to the previous
//! handler.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use memmap2::Mmap;

use crate::{Context, Result};

/// A mapped file. It is read as a slice of bytes.
pub struct Mapped {
    map: Mmap,
    entry: &'static Entry,
}

impl Mapped {
    /// Maps the whole of `file`, whose name is `path`.
    pub fn new(file: &File, path: &Path) -> Result<Self> {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(install_handler);
        // SAFETY: the map is valid while the file keeps its length and nobody writes to
        // it. Shards are never changed in place: a new one is written under another name
        // and renamed, and this map stays on the old one. If another program truncates
        // the file, the handler below ends this one.
        let map = unsafe { Mmap::map(file) }.doing("map", path)?;
        let entry = Entry::add(&map, path);
        Ok(Self { map, entry })
    }
}

impl std::ops::Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.entry.length.store(0, Ordering::Release);
    }
}

/// One mapped file in the list that the signal handler reads. Entries are never freed: a
/// handler may be reading them, and a process maps few files.
struct Entry {
    start: usize,
    /// 0 once the file is unmapped.
    length: AtomicUsize,
    /// The message, made in advance because the handler cannot allocate.
    message: Vec<u8>,
    next: AtomicPtr<Entry>,
}

/// The list's head.
static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

impl Entry {
    fn add(map: &Mmap, path: &Path) -> &'static Self {
        let mut message = path.as_os_str().as_bytes().to_vec();
        message.extend(b": was cut short while it was read; write it again with prep\n");
        let entry: &'static Self = Box::leak(Box::new(Self {
            start: map.as_ptr() as usize,
            length: AtomicUsize::new(map.len()),
            message,
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let new = ptr::from_ref(entry).cast_mut();
        let mut head = ENTRIES.load(Ordering::Acquire);
        loop {
            entry.next.store(head, Ordering::Release);
            let set =
                ENTRIES.compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire);
            match set {
                Ok(_) => return entry,
                Err(now) => head = now,
            }
        }
    }

    /// The message for the mapped file that has this address.
    fn message_at(address: usize) -> Option<&'static [u8]> {
        let mut entry = ENTRIES.load(Ordering::Acquire);
        // SAFETY: entries are leaked, and only their atomic fields ever change.
        while let Some(current) = unsafe { entry.as_ref() } {
            let length = current.length.load(Ordering::Acquire);
            if address.wrapping_sub(current.start) < length {
                return Some(&current.message);
            }
            entry = current.next.load(Ordering::Acquire);
        }
        None
    }
}

/// The handler that was installed before ours; Rust's runtime installs one for stack
/// overflows.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

fn install_handler() {
    // SAFETY: a zeroed sigaction is a valid one; the handler has the signature that
    // SA_SIGINFO asks for, and calls only functions that are safe in a handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // Stored before ours is installed, since our handler may run at once.
        let before = Box::leak(Box::new(std::mem::zeroed()));
        if libc::sigaction(libc::SIGBUS, ptr::null(), before) == 0 {
            BEFORE.store(before, Ordering::Release);
            libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
        }
    }
}

/// Ends the program if a mapped file was truncated, and otherwise passes the signal to
/// the previous handler.
extern "C" fn handle(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo_t; write, _exit and sigaction are
    // async-signal-safe.
    unsafe {
        let address = (*info).si_addr() as usize;
        if let Some(message) = Entry::message_at(address) {
            libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
            libc::_exit(1);
        }
        // The faulting instruction runs again after the handler, and raises the signal
        // again.
        let before = BEFORE.load(Ordering::Acquire);
        libc::sigaction(libc::SIGBUS, before, ptr::null_mut());
    }
}
