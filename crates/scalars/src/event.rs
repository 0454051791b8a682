//! TensorBoard event files: the messages in them, the framing around them, points in and
//! out.

/// What the name of every event file has in it. TensorBoard recognises them by it.
pub const FILE_MARK: &str = "tfevents";

pub mod encode;
pub mod file;
pub mod folder_lock;
pub mod live;
pub mod proto;
pub mod purge;
pub mod read;
pub mod record;
