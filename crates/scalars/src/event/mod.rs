//! TensorBoard event files: the messages in them, the framing around them, points in and out.

pub mod encode;
pub mod file;
pub mod proto;
pub mod record;
