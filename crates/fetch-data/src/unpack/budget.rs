//! Limits how much an archive may unpack to. Bytes are counted as they leave the
//! decompressor, so that file contents, headers and long names all count.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use torchmill::progress;

/// The number of bytes that may still be read, shared between the reader and the code
/// that unpacks.
#[derive(Clone)]
pub struct Budget {
    /// In the whole archive.
    left: Rc<Cell<u64>>,
    /// Before the next file's contents: headers, extended headers and padding.
    header: Rc<Cell<u64>>,
    limit: u64,
}

/// The maximum bytes of a header. Without a limit, a name of any length would be read
/// into memory.
const MOST_HEADER: u64 = 1 << 20;

impl Budget {
    /// Allows `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            left: Rc::new(Cell::new(limit)),
            header: Rc::new(Cell::new(MOST_HEADER)),
            limit,
        }
    }

    /// Expects a header next.
    pub fn expect_header(&self) {
        self.header.set(MOST_HEADER);
    }

    /// Expects a file's contents next.
    pub fn expect_contents(&self) {
        self.header.set(u64::MAX);
    }

    fn take(&self, n: u64) -> io::Result<()> {
        let too_much =
            |what: String| Err(io::Error::new(io::ErrorKind::QuotaExceeded, what));
        let Some(left) = self.left.get().checked_sub(n) else {
            return too_much(format!(
                "unpacks to more than {}, far more than this data set can need: not \
                 unpacked",
                progress::bytes(self.limit)
            ));
        };
        let Some(header) = self.header.get().checked_sub(n) else {
            return too_much(
                "has a header of more than 1 MiB, so it is not unpacked".to_owned(),
            );
        };
        self.left.set(left);
        self.header.set(header);
        Ok(())
    }
}

/// Reads from `R` within a [`Budget`].
pub struct Budgeted<R> {
    inner: R,
    budget: Budget,
}

impl<R> Budgeted<R> {
    /// Counts the bytes that are read from `inner` against `budget`.
    pub fn new(inner: R, budget: Budget) -> Self {
        Self { inner, budget }
    }

    /// The underlying reader.
    pub fn inner(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.budget.take(n as u64)?;
        Ok(n)
    }
}
