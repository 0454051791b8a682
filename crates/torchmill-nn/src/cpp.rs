//! What our functions in C++ hand back.

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

/// The error that a function returned as a message from `strdup`, where it is not null.
/// It is freed here.
pub(crate) fn checked(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: what is not null is a string from strdup, which is ours to free.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used any more.
    unsafe { libc::free(message.cast()) };
    Err(TchError::Torch(text))
}

/// The tensor that a function returned, or none where that is null, and what it threw
/// where `error` is not.
///
/// # Safety
/// The tensor is null or made by `new`, as tch's own functions return, and nobody else
/// has it; `error` is as for [`checked`].
pub(crate) unsafe fn made(
    tensor: *mut C_tensor,
    error: *mut c_char,
) -> Result<Option<Tensor>, TchError> {
    checked(error)?;
    // SAFETY: the caller's promise.
    Ok((!tensor.is_null()).then(|| unsafe { Tensor::from_ptr(tensor) }))
}
