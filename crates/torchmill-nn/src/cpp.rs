//! What our functions in C++ hand back.

use std::ffi::{CStr, c_char};

use tch::TchError;

/// The error that a function returned as a message from `strdup`, where it is not null. It is freed here.
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
