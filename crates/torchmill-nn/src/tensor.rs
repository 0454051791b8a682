//! Small things that tch's tensors lack.

use tch::{Device, Kind, TchError, Tensor};

/// A named tensor of the state dict.
pub struct NamedTensor {
    /// As in PyTorch: `module1.0.weight`.
    pub name: String,
    /// Float32 (batch norm's counter: int64). Four-dimensional weights lie channels last.
    pub tensor: Tensor,
}

/// A floating-point tensor's elements as float32, in row-major order. It panics where
/// memory is short.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    #[allow(
        clippy::expect_used,
        reason = "documented; f_floats is for what may be large"
    )]
    f_floats(tensor).expect("a few numbers fit in memory")
}

/// The same with an error where memory is short.
pub fn f_floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    flat.f_copy_data(&mut values, flat.numel())?;
    Ok(values)
}

/// The values of `[N, C, H, W]`, laid out as `torch.channels_last`. oneDNN's convolutions
/// are 1.5 times as fast in this layout.
pub(crate) fn f_channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// The same in tests, where it does not fail.
#[cfg(test)]
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    f_channels_last(x).unwrap()
}
