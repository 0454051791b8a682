//! TensorBoard event files: the messages in them, the framing around them, points in and
//! out.

pub mod encode;
pub mod file;
pub mod live;
pub mod proto;
pub mod read;
pub mod record;
