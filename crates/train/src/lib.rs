//! The command line, which the two programs of `train` share. This library is not linked
//! to libtorch.

pub mod args;

/// The folder of the libtorch that this was built with: absolute, or relative to the
/// program's.
pub const BUILT_WITH: Option<&str> = option_env!("TORCHMILL_LIBTORCH");
