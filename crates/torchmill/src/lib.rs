//! What torchmill's five programs share.
//!
//! The programs communicate through files, and this crate is where those files are
//! defined: what raw data sets look like ([`dataset`]), how images are transformed
//! ([`transform`]), the tensor [`shard`]s that `prep` writes and `train` maps, the
//! [`recipe`] that describes a run and the [`metrics`] it leaves behind. It is not linked
//! with libtorch, so that programs that do not need it start in milliseconds.

pub mod atomic;
pub mod cli;
pub mod contact_sheet;
pub mod dataset;
pub mod device;
pub mod encoding;
pub mod error;
pub mod git_lfs;
pub mod html;
pub mod interrupt;
pub mod launch;
pub mod libtorch;
pub mod limits;
pub mod line_chart;
pub mod lock;
pub mod memory;
pub mod metric;
pub mod metrics;
pub mod output;
pub mod parallel;
pub mod pixels;
pub mod pretrained;
pub mod progress;
pub mod recipe;
pub mod run;
pub mod schedule;
pub mod shard;
pub mod suggest;
pub mod terminal;
pub mod text;
pub mod text_file;
pub mod time;
pub mod transform;

pub use error::{Context, Error, ErrorKind, Result};
