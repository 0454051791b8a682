//! What `train` and `evaluate` share, built on libtorch: networks, data loading, losses,
//! optimizers and checkpoints.

pub mod checkpoint;
pub mod device;
pub mod distributed;
pub mod evaluation;
pub mod exit;
mod foreign;
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
pub mod onnx;
pub mod optimizer;
pub mod outputs;
pub mod part_threads;
mod patterns;
pub mod precision;
pub mod progressive_resizing;
pub mod recipe;
mod resident;
pub mod sampler;
pub mod scaler;
pub mod spec;
pub mod state;
pub mod state_dict;
pub mod summary;
pub mod tensor;
mod tensor_access;
mod torch_save;
pub mod tta;
pub mod weighted_sampler;
mod whitening;

use torchmill::Error;

/// Turns libtorch's error into one line: its message without the C++ stack that follows.
/// If memory has run out, it suggests what to try.
pub fn torch_error(error: &tch::TchError) -> Error {
    let text = error.to_string();
    let plain = text.split("Exception raised from").next().unwrap_or(&text);
    let plain = plain.trim().trim_start_matches("Internal torch error: ");
    // libtorch's errors have no kinds. CUDA's and the CPU's allocator word them so.
    let is_memory =
        ["out of memory", "can't allocate memory"].iter().any(|m| plain.contains(m));
    let error = Error::failed(plain);
    if is_memory {
        error.with_advice(
            "there is not enough memory: try a smaller --batch-size, [train] accumulate, \
             or --precision bf16",
        )
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn what_to_do_without_memory_is_said() {
        let error = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).err();
        let error = torch_error(&error.expect("4 PB")).to_string();
        assert!(
            error.contains("you tried to allocate 4503599627370496 bytes"),
            "{error}"
        );
        assert!(error.contains("try a smaller --batch-size"), "{error}");
    }
}
