//! A run: its folder, the names of the files in it, and its run.jsonl.
//!
//! ```text
//! runs/first/
//!   config.toml       the recipe with everything resolved
//!   metrics.csv       what was measured (crate::metrics)
//!   run.jsonl         when, where and on what data it was made (log)
//!   checkpoints/      epoch-0001.safetensors and .state, step-00000100.*, last, best
//!   samples/          epoch-0001.png, written by evaluate --samples
//! ```

mod dir;
mod files;
pub mod log;

pub use dir::RunDir;
pub use files::{
    CHECKPOINTS, CONFIG, CheckpointKind, LOG, METRICS, Numbered, SAMPLES, WEIGHTS,
    epoch_files, state_path,
};
