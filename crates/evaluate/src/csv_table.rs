//! CSV in memory.

use torchmill::{Error, Result};

/// CSV in memory.
pub struct Table(csv::Writer<Vec<u8>>);

impl Table {
    /// Creates a table without rows.
    pub fn empty() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl Iterator<Item = String>) -> Result<()> {
        self.0.write_record(cells).map_err(|e| Error::csv("cannot write CSV", e))
    }

    /// Returns the CSV text.
    pub fn finish(self) -> Result<String> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed(format_args!("cannot write CSV: {e}"))
        };
        let bytes = self.0.into_inner().map_err(|e| failed(&e))?;
        String::from_utf8(bytes).map_err(|e| failed(&e))
    }
}
