//! Steps that move whole rows and columns and change no pixel: margins, crops and mirror
//! images. Several of them come to one look-up, which a loader can do while it reads the
//! pixels anyway.

use super::image::Sample;
use super::planes::{Sources, all, rearranged};
use super::types::Fill;
use crate::Result;

/// Where the pixels of what comes out are in what goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Rearrangement {
    /// For each row that comes out the row that goes there, or `None` for the fill.
    pub rows: Sources,
    /// The same for each column.
    pub columns: Sources,
    /// What stands where there is no row or no column; `None` where there always is one.
    fill: Option<Fill>,
}

impl Rearrangement {
    /// The one that changes nothing.
    pub(super) fn nothing(height: usize, width: usize) -> Self {
        Self::whole(all(height), all(width))
    }

    /// Each output row and column from these, with nothing to fill.
    pub(super) fn whole(rows: Sources, columns: Sources) -> Self {
        Self { rows, columns, fill: None }
    }

    /// Each output row and column from these, or this fill.
    pub(super) fn filled(rows: Sources, columns: Sources, fill: &Fill) -> Self {
        Self { rows, columns, fill: Some(fill.clone()) }
    }

    /// Does it.
    pub(super) fn apply(&self, sample: &Sample) -> Result<Sample> {
        rearranged(
            sample,
            &self.rows,
            &self.columns,
            self.fill.as_ref().unwrap_or(&Fill::zero()),
        )
    }

    /// This and then `next` in one, or `None` where both may fill, with other values.
    pub(super) fn then(self, next: Self) -> Option<Self> {
        let fill = match (self.fill, next.fill) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let through = |first: &Sources, second: &Sources| -> Sources {
            second.iter().map(|&i| first.get(i?).copied().flatten()).collect()
        };
        let (rows, columns) =
            (through(&self.rows, &next.rows), through(&self.columns, &next.columns));
        Some(Self { rows, columns, fill })
    }

    /// What stands where there is no pixel: a level for each channel.
    pub fn blank(&self, channels: usize) -> Result<Vec<u8>> {
        self.fill.as_ref().unwrap_or(&Fill::zero()).levels(channels)
    }
}
