//! What the two halves of `train` share: the command line. It is not linked with
//! libtorch.

pub mod args;

/// The folder of the libtorch that this was built with.
pub const BUILT_WITH: Option<&str> = option_env!("TORCHMILL_LIBTORCH");
