//! What `train` and `evaluate` share, on libtorch: networks, batches, losses, optimizers,
//! checkpoints.

pub mod checkpoint;
pub mod device;
pub mod evaluation;
pub mod exit;
pub mod generator;
pub mod gradients;
pub mod groups;
pub mod initialise;
mod kernel;
mod layer;
pub mod loader;
pub mod loss;
pub mod mix;
pub mod model;
pub mod optimizer;
pub mod outputs;
mod patterns;
pub mod precision;
pub mod recipe;
mod resident;
pub mod sampler;
pub mod scaler;
pub mod spec;
pub mod state;
pub mod summary;
pub mod tensor;
mod tensor_access;
pub mod torch_save;
pub mod weighted_sampler;
mod whitening;

use torchmill::Error;

/// libtorch's error as one line: its message without the C++ stack that follows.
pub fn torch_error(error: &tch::TchError) -> Error {
    let text = error.to_string();
    let plain = text.split("Exception raised from").next().unwrap_or(&text);
    Error::failed(plain.trim().trim_start_matches("Internal torch error: "))
}
