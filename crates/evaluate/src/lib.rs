//! The parts of `evaluate` without libtorch: the command line and the table of runs.

pub mod args;
pub mod compare;
pub mod config;
pub mod csv_table;
pub mod inputs;
pub mod text;

/// The folder of the libtorch that this was built with: absolute, or relative to the
/// program's.
pub const BUILT_WITH: Option<&str> = option_env!("TORCHMILL_LIBTORCH");
