//! How much an archive may unpack to, counted where the bytes come out of the
//! decompressor, so that file contents, headers and long names all count.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use torchmill::progress;

/// What may still be read, shared between the reader and the code that unpacks from it.
#[derive(Clone)]
pub struct Budget {
    /// Of the whole archive.
    left: Rc<Cell<u64>>,
    /// Until the next file's contents: headers, extended headers and padding.
    header: Rc<Cell<u64>>,
    limit: u64,
}

/// No header needs more; a long name in one would otherwise be read into memory whatever
/// its length.
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

    /// What follows is a header.
    pub fn expect_header(&self) {
        self.header.set(MOST_HEADER);
    }

    /// What follows is a file's contents.
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
    /// Charges what is read from `inner` to `budget`.
    pub fn new(inner: R, budget: Budget) -> Self {
        Self { inner, budget }
    }

    /// What is read from.
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
