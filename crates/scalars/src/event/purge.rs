//! Points that a restarted writer has discarded.
//!
//! A writer that restarts from a checkpoint (PyTorch's `SummaryWriter(purge_step=3)`)
//! writes a session log with the status START. TensorBoard then drops the run's earlier
//! points from that step on (`EventAccumulator._CheckForRestartAndMaybePurge`).

use std::io::Read;

use prost::Message;
use torchmill::{Result, interrupt};

use super::proto::{Event, SessionLog, What};
use super::record::{self, Next};

/// The position of an event: the index of the file in the run, and of the record in the
/// file.
pub type Place = (usize, u64);

/// The starts in the files of one run.
#[derive(Debug, Default)]
pub struct Starts {
    /// The position of each start, and its step.
    starts: Vec<(Place, i64)>,
}

impl Starts {
    /// Finds the starts in the run's next file, up to the first damaged record.
    pub fn read(&mut self, file: usize, input: impl Read) -> Result<()> {
        let mut reader = record::Reader::new(input);
        let mut number = 0;
        // Read errors are reported later, when the points are read.
        while let Ok(Next::Record) = reader.next() {
            interrupt::check()?;
            let Ok(event) = Event::decode(reader.payload()) else { return Ok(()) };
            if let Some(What::SessionLog(log)) = event.what
                && log.status == SessionLog::START
            {
                self.starts.push(((file, number), event.step));
            }
            number += 1;
        }
        Ok(())
    }

    /// Whether a point is kept, given all starts of the run.
    pub fn keep(&self, place: Place, step: i64) -> bool {
        self.starts.iter().all(|&(start, from)| start < place || step < from)
    }
}
