//! Small functions that tch's tensors lack.

use tch::{Device, Kind, TchError, Tensor, no_grad};

/// A named tensor of the state dict.
pub struct NamedTensor {
    /// The name in PyTorch, such as `module1.0.weight`.
    pub name: String,
    /// Float32 (batch norm's counter: int64). Four-dimensional weights are channels last.
    pub tensor: Tensor,
}

/// A floating-point tensor's elements as float32, in row-major order. Panics if memory
/// runs out.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    #[allow(
        clippy::expect_used,
        reason = "documented; f_floats is for what may be large"
    )]
    f_floats(tensor).expect("a few numbers fit in memory")
}

/// The same, but returns an error if memory runs out.
pub fn f_floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    flat.f_copy_data(&mut values, flat.numel())?;
    Ok(values)
}

/// A contiguous CPU tensor's elements as little-endian bytes.
pub(crate) fn f_bytes(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

/// A number as an operand for tensors: a CPU tensor of one element, which is not copied
/// to the other operand's device.
///
/// tch's own operations with numbers, such as `f_mul_scalar`, panic when they fail: tch
/// frees the number before it reads the error, and then takes the error for one of
/// freeing. So they are used only in place, where they allocate nothing.
pub fn number<T>(value: T) -> Tensor
where
    Tensor: From<T>,
{
    Tensor::from(value)
}

/// A copy, without gradients.
pub fn f_copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    no_grad(|| {
        let mut copy = tensor.f_detach()?.f_empty_like()?;
        copy.f_copy_(tensor)?;
        Ok(copy)
    })
}

/// `tensor * factor`, without gradients.
pub fn f_scaled(tensor: &Tensor, factor: f64) -> Result<Tensor, TchError> {
    let mut scaled = tensor.f_empty_like()?;
    scaled.f_copy_(tensor)?;
    scaled.f_mul_scalar_(factor)
}

/// Copies a CPU tensor to a device, in the same layout. A GPU copies it from pinned
/// memory asynchronously, and the calling thread does not wait.
pub fn f_upload(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    if device == Device::Cpu {
        return Ok(tensor.shallow_clone());
    }
    let pinned = tensor.f_internal_pin_memory(device)?;
    pinned.f_to_device_(device, pinned.kind(), true, false)
}

/// Copies tensors on one device to the CPU, in the same layouts. The calling thread waits
/// for a GPU only once.
pub fn f_download(tensors: &[&Tensor]) -> Result<Vec<Tensor>, TchError> {
    let mut copies = Vec::with_capacity(tensors.len());
    for (i, tensor) in tensors.iter().enumerate() {
        // A GPU makes its copies in order: waiting for the last one is enough.
        let is_last = i + 1 == tensors.len();
        let kind = tensor.kind();
        copies.push(tensor.f_to_device_(Device::Cpu, kind, !is_last, false)?);
    }
    Ok(copies)
}

/// A copy of the same part of each image of `[N, C, H, W]`, in `torch.channels_last` layout. The
/// part begins at this row and column and has this height and width.
pub(crate) fn f_crop(
    images: &Tensor,
    [row, column]: [i64; 2],
    [height, width]: [i64; 2],
) -> Result<Tensor, TchError> {
    let part = images.f_narrow(2, row, height)?.f_narrow(3, column, width)?;
    f_channels_last(&part)
}

/// The values of `[N, C, H, W]` in `torch.channels_last` layout, in which oneDNN's
/// convolutions are 1.5 times as fast.
pub(crate) fn f_channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// The same for tests: panics on failure.
#[cfg(test)]
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    f_channels_last(x).unwrap()
}
