//! TensorBoard event files: their messages and framing, and writing and reading points.

/// Part of the name of every event file, by which TensorBoard recognises them.
pub const FILE_MARK: &str = "tfevents";

pub mod encode;
pub mod file;
pub mod folder_lock;
pub mod live;
pub mod proto;
pub mod purge;
pub mod read;
pub mod record;
