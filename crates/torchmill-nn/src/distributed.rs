//! Data parallel training: several processes, each with the whole network and a share of
//! every batch.
//!
//! libtorch's c10d does the work: its TCPStore, ProcessGroupGloo and the reducer of
//! DistributedDataParallel, bound in [`bridge`]. The processes meet at the store
//! ([`handshake`]). There each one signals that it is alive and reports why it ends
//! ([`presence`]).

mod address;
#[cfg_attr(not(test), allow(dead_code, reason = "hash_store is for tests"))]
mod bridge;
mod group;
mod handshake;
mod nccl;
mod presence;
mod processes;
mod reducer;
mod store;

pub use group::Group;
pub use processes::Processes;
pub use reducer::Reducer;

use std::time::Duration;

use torchmill::{Error, ErrorKind};

use crate::kernel::bridge::torch_error;

/// The error for an exception of c10d: a process has ended or does not answer.
fn disconnected(exception: &cxx::Exception) -> Error {
    let error = crate::torch_error(&torch_error(exception));
    Error::new(ErrorKind::Disconnected, error)
}

/// A duration in milliseconds, as c10d wants it.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `rank 1 has`, or `ranks 1, 2 and 3 more have`.
fn ranks_have(ranks: &[u32]) -> String {
    const SHOWN: usize = 8;
    let mut names = Vec::new();
    for rank in ranks.iter().take(SHOWN) {
        names.push(rank.to_string());
    }
    let names = names.join(", ");
    match (ranks.len(), ranks.len().saturating_sub(SHOWN)) {
        (1, _) => format!("rank {names} has"),
        (_, 0) => format!("ranks {names} have"),
        (_, more) => format!("ranks {names} and {more} more have"),
    }
}

#[cfg(test)]
mod tests;
