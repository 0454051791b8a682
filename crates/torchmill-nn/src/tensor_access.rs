//! Two uses of tensors that tch cannot check: reading them from several threads, and
//! writing a tensor's memory as a slice. All `unsafe` code for these is here.

use std::ops::Deref;

use half::{bf16, f16};
use tch::{Device, Kind, Tensor};
use torchmill::{Error, Result};

use crate::loss::Loss;
use crate::model::Model;
use crate::resident::Resident;
use crate::torch_error;

/// A value that several threads read at once and no one changes.
///
/// tch's tensors are not `Sync`, since they can be changed through shared references.
/// libtorch allows reading one from several threads while nobody changes it.
pub struct ReadOnly<T>(T);

/// Types that only read their tensors through a shared reference.
pub trait OnlyReads {}

/// `evaluate` runs a network forward and computes its loss in evaluation mode.
/// `PartThreads` does it in training mode with networks that do not change their buffers
/// (`needs_whole_batch` is false). The gradients are returned and not stored in the
/// parameters, and libtorch allows several threads to compute gradients of the same ones.
impl OnlyReads for (&Model, &dyn Loss) {}

/// Its tensors are set when it is created, and its methods only gather from them.
impl OnlyReads for Resident {}

impl<T: OnlyReads> ReadOnly<T> {
    /// Wraps a value that is only read from here on.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for ReadOnly<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

// SAFETY: only the types above can be wrapped. They do not change their tensors through a
// shared reference, and libtorch allows reading a tensor from several threads.
unsafe impl<T: OnlyReads> Sync for ReadOnly<T> {}

/// The element types of batches, with their libtorch dtypes.
pub trait Element: Copy + Send + Sync {
    /// The corresponding dtype in libtorch.
    const KIND: Kind;
}

impl Element for f32 {
    const KIND: Kind = Kind::Float;
}

impl Element for bf16 {
    const KIND: Kind = Kind::BFloat16;
}

impl Element for f16 {
    const KIND: Kind = Kind::Half;
}

/// Creates a tensor `[N, C, H, W]` on the CPU in channels-last layout. `fill` gets its
/// elements in the order `[N, H, W, C]` and must write all of them.
pub fn channels_last<T: Element>(
    [n, c, h, w]: [usize; 4],
    fill: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<Tensor> {
    let size = [n, c, h, w].map(|n| n as i64);
    let strides = [c * h * w, 1, w * c, c].map(|n| n as i64);
    let tensor = Tensor::f_empty_strided(size, strides, (T::KIND, Device::Cpu))
        .map_err(|e| torch_error(&e))?;
    let elements = n * c * h * w;
    if tensor.numel() != elements {
        return Err(Error::failed("libtorch made a tensor of another size"));
    }
    if elements > 0 {
        // SAFETY: the tensor was just created with this many contiguous elements of this
        // type, and nothing else refers to it. Every bit pattern is a valid float.
        let slice = unsafe {
            std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), elements)
        };
        fill(slice)?;
    }
    Ok(tensor)
}
