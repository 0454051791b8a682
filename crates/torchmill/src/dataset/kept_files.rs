//! Keeps the bytes of some files in memory between two readings. Opening a small image
//! takes longer than decoding it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that are kept.
const LIMIT: usize = 64 << 20;

/// The memory that a kept file uses in addition to its bytes.
const OVERHEAD: usize = 64;

/// The bytes of files, by number.
#[derive(Debug, Default)]
pub(super) struct KeptFiles {
    files: Mutex<HashMap<u32, Vec<u8>>>,
    /// How many bytes have been kept so far. Taking bytes out makes no room for others: a
    /// file is read for its hash only once.
    used: AtomicUsize,
}

impl KeptFiles {
    /// Keeps the bytes of file `i`, if there is room.
    pub(super) fn keep(&self, i: u32, bytes: Vec<u8>) {
        let size = bytes.capacity() + OVERHEAD;
        let used = self.used.fetch_add(size, Ordering::Relaxed);
        if used.saturating_add(size) > LIMIT {
            self.used.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        if let Ok(mut files) = self.files.lock() {
            files.insert(i, bytes);
        }
    }

    /// The bytes of file `i`, if they were kept. The next time, the file must be read.
    pub(super) fn take(&self, i: u32) -> Option<Vec<u8>> {
        if self.used.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.files.lock().ok()?.remove(&i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_once_and_as_far_as_there_is_room() {
        let kept = KeptFiles::default();
        assert_eq!(kept.take(7), None);
        kept.keep(7, vec![1, 2, 3]);
        kept.keep(8, vec![0; LIMIT]);
        kept.keep(9, vec![4]);
        assert_eq!(kept.take(7), Some(vec![1, 2, 3]));
        assert_eq!(kept.take(7), None, "it was taken");
        assert_eq!(kept.take(8), None, "there was no room");
        assert_eq!(kept.take(9), Some(vec![4]));
    }
}
